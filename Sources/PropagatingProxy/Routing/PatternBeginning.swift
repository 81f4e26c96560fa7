// SPDX-License-Identifier: Apache-2.0

/// What every path that matches a POSIX extended regular expression begins with: its letters up to the first operator.
///
/// Nothing wherever there is doubt: a pattern of which we know less is only matched more slowly.
enum PatternBeginning {
    /// - Parameter pattern: one that is not a mistake, see ``PathPattern/mistake(in:)``.
    static func of(_ pattern: String) -> [UInt8] {
        let bytes = Array(pattern.utf8)
        return isOneBranch(bytes) ? letters(bytes) : []
    }

    private static let operators = Array("\\^$.[]|()*+?{}".utf8)
    private static let quantifiers = Array("*+?{".utf8)

    // bounded: the index is compared before each use
    private static func letters(_ bytes: [UInt8]) -> [UInt8] {
        var found: [UInt8] = []
        var index = bytes.first == UInt8(ascii: "^") ? 1 : 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\\") {
                index += 1
                // Before a letter it means something else to glibc.
                guard index < bytes.count, operators.contains(bytes[index]) else { return found }
            } else if operators.contains(bytes[index]) {
                // The letter before a quantifier may be there no time at all.
                return quantifiers.contains(bytes[index]) ? Array(found.dropLast()) : found
            }
            guard bytes[index] > 0x20, bytes[index] < 0x7F else { return found }
            found.append(bytes[index])
            index += 1
        }
        return found
    }

    /// Whether it has alternatives in groups only. A parenthesis that closes no group is a letter to glibc, unless ours
    /// stands before it: such a pattern has alternatives, too.
    // bounded: the index is compared before each use
    private static func isOneBranch(_ bytes: [UInt8]) -> Bool {
        var depth = 0
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\\"): index += 1
            case UInt8(ascii: "["):
                guard let end = endOfBracket(bytes, from: index) else { return false }
                index = end
            case UInt8(ascii: "("): depth += 1
            case UInt8(ascii: ")"): depth -= 1
            case UInt8(ascii: "|") where depth == 0: return false
            default: break
            }
            guard depth >= 0 else { return false }
            index += 1
        }
        return depth == 0
    }

    /// Where its `]` stands; a backslash is a letter within. `nil` if there are classes such as `[:alpha:]`, which may hold one.
    // bounded: the index is compared before each use
    private static func endOfBracket(_ bytes: [UInt8], from start: Int) -> Int? {
        var index = start + 1
        if index < bytes.count, bytes[index] == UInt8(ascii: "^") { index += 1 }
        if index < bytes.count, bytes[index] == UInt8(ascii: "]") { index += 1 }
        while index < bytes.count, bytes[index] != UInt8(ascii: "]") {
            guard bytes[index] != UInt8(ascii: "[") else { return nil }
            index += 1
        }
        return index
    }
}
