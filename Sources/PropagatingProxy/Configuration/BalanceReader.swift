// SPDX-License-Identifier: Apache-2.0

/// Reads `balance`: a word, or a mapping that says what to hash.
struct BalanceReader {
    let mistakes: Mistakes

    private static let expected = "round_robin, least_request or a mapping with 'hash'"

    func read(_ parent: MappingReader) -> Configuration.Balance {
        guard case .mapping = parent.value("balance")?.content else {
            _ = source(MappingReader(nil, "upstreams.*.balance", parent: parent.origin, mistakes))
            return word(parent)
        }
        let reader = parent.mapping("balance")
        defer { reader.finish() }
        if reader.value("hash") == nil { reader.missing("hash", "source, or a mapping with 'header' or 'cookie'") }
        return source(reader).map { .hash($0) } ?? .roundRobin
    }

    private func word(_ parent: MappingReader) -> Configuration.Balance {
        parent.converted("balance", Self.expected) { text in
            switch text {
            case "round_robin": .roundRobin
            case "least_request": .leastRequest
            default: nil
            }
        } ?? .roundRobin
    }

    private func source(_ parent: MappingReader) -> Configuration.HashSource? {
        if case .scalar = parent.value("hash")?.content {
            return parent.choice("hash", [("source", .source)])
        }
        let reader = parent.mapping("hash")
        defer { reader.finish() }
        let header = reader.converted("header", "the name of a field", Self.token)
        let cookie = reader.converted("cookie", "the name of a cookie", Self.token)
        if let node = parent.value("hash"), case .mapping = node.content,
            (reader.value("header") == nil) == (reader.value("cookie") == nil)
        {
            mistakes.add(node.origin, "'hash' has both or neither of 'header' and 'cookie', expected one of them")
        }
        if let header { return .header(header.map { lowercased($0) }) }
        return cookie.map { .cookie($0) }
    }

    /// RFC 9110 §5.6.2; names of cookies are tokens too (RFC 6265 §4.1.1).
    private static func token(_ text: String) -> [UInt8]? {
        let bytes = Array(text.utf8)
        let marks = Array("!#$%&'*+-.^_`|~".utf8)
        let isToken = bytes.allSatisfy { isAlphanumeric($0) || marks.contains($0) }
        return isToken && (1...64).contains(bytes.count) ? bytes : nil
    }
}
