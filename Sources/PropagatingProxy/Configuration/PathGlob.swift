// SPDX-License-Identifier: Apache-2.0

import HTTP1

/// A path, or its beginning (`/health*`), or its end (`*/api/v2/spans`); a method may stand before it.
struct PathGlob: Sendable, Equatable {
    enum Kind: Sendable { case whole, beginning, ending }

    var kind: Kind
    var text: [UInt8]
    /// `nil`: any.
    var method: Method?

    /// `nil` if the method is none of those with a name of their own, or unless the path begins with `/` or `*/` and has at most that one star or one at its end.
    init?(_ pattern: String) {
        var bytes = Array(pattern.utf8)
        if let space = bytes.firstIndex(of: UInt8(ascii: " ")) {
            let name = Array(bytes[..<space])
            let method = Method(name.span)
            guard method != .other else { return nil }
            self.method = method
            bytes.removeSubrange(...space)
        }
        kind = .whole
        if bytes.first == UInt8(ascii: "*") {
            kind = .ending
            bytes.removeFirst()
        } else if bytes.last == UInt8(ascii: "*") {
            kind = .beginning
            bytes.removeLast()
        }
        guard bytes.first == UInt8(ascii: "/"), !bytes.contains(UInt8(ascii: "*")) else { return nil }
        text = bytes
    }

    /// - Parameter path: without query.
    func matches(_ method: Method, _ path: Span<UInt8>) -> Bool {
        if let own = self.method, own != method { return false }
        let start: Int
        switch kind {
        case .whole:
            guard path.count == text.count else { return false }
            start = 0
        case .beginning: start = 0
        case .ending: start = path.count - text.count
        }
        guard start >= 0, path.count >= start + text.count else { return false }
        let text = text.span
        for index in text.indices where path[start + index] != text[index] { return false }
        return true
    }
}
