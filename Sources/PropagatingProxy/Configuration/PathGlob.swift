// SPDX-License-Identifier: Apache-2.0

import HTTP1

/// A path, or its beginning (`/health*`), or its end (`*/api/v2/spans`); a method may stand before it.
struct PathGlob: Sendable, Equatable {
    enum Kind: BitwiseCopyable, Sendable { case whole, beginning, ending }

    var kind: Kind
    var text: [UInt8]
    /// `nil`: any.
    var method: Method?

    /// `nil` if the method is none of those with a name of their own, or unless the path begins with `/` or
    /// `*/` and has at most that one star or one at its end.
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
}
