// SPDX-License-Identifier: Apache-2.0

/// What a message may repeat of text that could hold a secret.
public enum ShownText {
    /// A key in quotes, if it looks like one: a value written where a key belongs is not repeated.
    static func key(_ text: String) -> String {
        let isName = text.utf8.allSatisfy { isAlphanumeric($0) || "_-.".utf8.contains($0) }
        return isName && (1...64).contains(text.utf8.count) ? "'\(text)'" : "(not shown: it is no name)"
    }

    /// A URL or an endpoint with `***` for a user, a password, a path and a query.
    public static func url(_ text: String) -> String {
        let start = text.firstRange(of: "://")?.upperBound ?? text.startIndex
        let end = text[start...].firstIndex { "/?#".contains($0) } ?? text.endIndex
        let authority = text[start..<end]
        let host = authority.lastIndex(of: "@").map { "***" + authority[$0...] } ?? String(authority)
        let tail = text[end...]
        return text[..<start] + host + (tail.utf8.count > 1 ? tail.prefix(1) + "***" : tail)
    }
}
