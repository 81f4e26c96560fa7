// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A POSIX extended regular expression that matches whole paths.
///
/// One object belongs to one worker: glibc locks a compiled pattern while it runs.
@safe
final class PathPattern {
    private var compiled = unsafe regex_t()

    /// A longer pattern is refused; the automaton's size grows with it.
    static let maximumByteCount = 1024

    /// `nil` if the pattern is not one; ``mistake(in:)`` tells why.
    init?(_ pattern: String) {
        guard Self.mistake(in: pattern) == nil, unsafe regcomp(&compiled, "^(\(pattern))$", Self.flags) == 0 else {
            return nil
        }
    }

    deinit { unsafe regfree(&compiled) }

    /// - Parameter path: without query; no copy is made of it.
    func matches(_ path: Span<UInt8>) -> Bool {
        // REG_STARTEND: the bounds come in the match, so that the path needs no NUL after it.
        var bounds = regmatch_t(rm_so: 0, rm_eo: regoff_t(truncatingIfNeeded: path.count))
        return unsafe path.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return false }
            return unsafe regexec(&compiled, base.assumingMemoryBound(to: CChar.self), 1, &bounds, REG_STARTEND) == 0
        }
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
