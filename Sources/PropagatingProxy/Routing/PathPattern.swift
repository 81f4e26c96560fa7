// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A POSIX extended regular expression that matches whole paths.
///
/// One object belongs to one worker: glibc locks a compiled pattern while it runs.
@safe
final class PathPattern {
    private var compiled = unsafe regex_t()
    /// The path with its NUL; as long as the longest path so far.
    private var text: [CChar] = []

    /// A longer pattern is refused; the automaton's size grows with it.
    static let maximumByteCount = 1024

    /// `nil` if the pattern is not one; ``mistake(in:)`` tells why.
    init?(_ pattern: String) {
        guard Self.mistake(in: pattern) == nil, unsafe regcomp(&compiled, "^(\(pattern))$", Self.flags) == 0 else {
            return nil
        }
    }

    deinit { unsafe regfree(&compiled) }

    /// - Parameter path: without query. Copied: regexec wants a NUL behind it, which no path holds within.
    // bounded: the text was made longer than the path
    func matches(_ path: Span<UInt8>) -> Bool {
        while text.count <= path.count { text.append(0) }
        for index in path.indices { text[index] = CChar(bitPattern: path[index]) }
        text[path.count] = 0
        return unsafe regexec(&compiled, text, 0, nil, 0) == 0
    }

    private static let flags = REG_EXTENDED | REG_NOSUB

    /// Why the text is not a pattern we take; `nil` if it is one.
    static func mistake(in pattern: String) -> String? {
        let bytes = Array(pattern.utf8)
        guard !bytes.isEmpty else { return "is empty" }
        guard bytes.count <= maximumByteCount else { return "is longer than \(maximumByteCount) bytes" }
        guard !bytes.contains(0) else { return "has a NUL byte" }
        guard !hasBackReference(bytes) else { return "has a back reference, which would cost exponential time" }
        var bare = unsafe regex_t()
        let code = unsafe regcomp(&bare, pattern, flags)
        guard code != 0 else {
            unsafe regfree(&bare)
            return nil
        }
        var text = [CChar](repeating: 0, count: 128)
        let count = unsafe regerror(code, &bare, &text, text.count)
        let reason = text.prefix(max(0, Int(count) - 1)).map { UInt8(bitPattern: $0) }
        return String(decoding: reason, as: UTF8.self)
    }

    private static func hasBackReference(_ bytes: [UInt8]) -> Bool {
        var isEscaped = false
        for byte in bytes {
            if isEscaped, (UInt8(ascii: "1")...UInt8(ascii: "9")).contains(byte) { return true }
            isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
        }
        return false
    }
}
