// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import PropagatingProxy

/// Reads the command line with getopt_long: `--name value`, `--name=value`, `-c value` or `-cvalue`;
/// a name may be cut short as long as it stays the only one.
enum Arguments {
    /// The text given for an option, by its name; empty for those that take none.
    typealias Values = [String: String]

    /// What getopt_long answers for the first option of the table: above every letter.
    private static let firstCode: CInt = 256

    /// - Returns: `nil` after the user was told what is wrong.
    static func parse(_ table: [Option]) -> Values? {
        let names = unsafe longNames(table)
        let letters = shortLetters(table)
        var values: Values = [:]
        var end: CInt = 1
        while true {
            var text: UnsafeMutablePointer<CChar>?
            var wrong: CInt = 0
            let code = unsafe sys_next_option(
                CommandLine.argc, CommandLine.unsafeArgv, letters, names, &text, &end, &wrong)
            guard code >= 0 else { break }
            guard let option = find(code, in: table) else {
                complain(refusal(code, wrong: wrong, in: table, argument: word(before: end)))
                return nil
            }
            let value = unsafe text.map { unsafe String(cString: $0) } ?? ""
            if option.value != nil, value.isEmpty {
                complain("--\(option.name) has an empty value")
                return nil
            }
            if values.updateValue(value, forKey: option.name.description) != nil {
                complain("--\(option.name) is given twice")
                return nil
            }
            if option.isSecret, let text = unsafe text { unsafe mask(text) }
        }
        guard end >= CommandLine.argc else {
            complain("unexpected argument \(word(before: end + 1))")
            return nil
        }
        return values
    }

    // MARK: getopt_long's tables

    private static func longNames(_ table: [Option]) -> [option] {
        var names = unsafe table.enumerated().map { number, entry in
            let name = unsafe UnsafeRawPointer(entry.name.utf8Start).assumingMemoryBound(to: CChar.self)
            let hasValue = entry.value == nil ? no_argument : required_argument
            return unsafe option(name: name, has_arg: hasValue, flag: nil, val: firstCode + CInt(number))
        }
        unsafe names.append(option())  // all zeros: the end
        return unsafe names
    }

    private static func shortLetters(_ table: [Option]) -> String {
        // The colon first: a missing value is told apart from an unknown option.
        table.reduce(into: ":") { letters, option in
            guard let letter = option.short else { return }
            letters += option.value == nil ? "\(letter)" : "\(letter):"
        }
    }

    private static func find(_ code: CInt, in table: [Option]) -> Option? {
        if code >= firstCode { return table.dropFirst(Int(code - firstCode)).first }
        return table.first { $0.short?.asciiValue.map(CInt.init) == code }
    }

    // MARK: Mistakes

    private static func refusal(_ code: CInt, wrong: CInt, in table: [Option], argument: String) -> String {
        if let option = find(wrong, in: table) {
            return code == CInt(UInt8(ascii: ":"))
                ? "--\(option.name) needs a value" : "--\(option.name) takes no value"
        }
        guard let letter = UInt8(exactly: wrong), letter > 0 else { return "unknown or ambiguous option \(argument)" }
        return "unknown option -\(Character(Unicode.Scalar(letter)))"
    }

    /// Without what follows an `=`, and what in a URL may be a secret.
    private static func word(before end: CInt) -> String {
        guard end > 1, end <= CommandLine.argc, let argument = unsafe CommandLine.unsafeArgv[Int(end) - 1] else {
            return ""
        }
        return ShownText.url(unsafe String(String(cString: argument).prefix { $0 != "=" }))
    }

    // MARK: Secrets

    /// `/proc/PID/cmdline` is open to every user: what may be secret in a URL is overwritten in place,
    /// that is everything after the authority, and what stands before an `@` in it.
    private static func mask(_ argument: UnsafeMutablePointer<CChar>) {
        let bytes = unsafe (0..<strlen(argument)).map { unsafe UInt8(bitPattern: argument[$0]) }
        let scheme = bytes.firstRange(of: Array("://".utf8))?.upperBound ?? 0
        let end = bytes[scheme...].firstIndex { "/?#".utf8.contains($0) } ?? bytes.count
        let star = CChar(bitPattern: UInt8(ascii: "*"))
        for index in bytes.indices.dropFirst(end + 1) { unsafe argument[index] = star }
        guard let at = bytes[scheme..<end].lastIndex(of: UInt8(ascii: "@")) else { return }
        for index in scheme..<at { unsafe argument[index] = star }
    }

    // MARK: Output

    static func complain(_ message: String) { write("propagating-proxy: \(message)\n", to: STDERR_FILENO) }

    static func write(_ text: String, to descriptor: CInt) {
        let bytes = Array(text.utf8)
        var start = 0
        while start < bytes.count {
            let count = unsafe bytes[start...].withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            start += count
        }
    }
}
