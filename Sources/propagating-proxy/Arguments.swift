// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Reads the command line: `--name value`, `--name=value`, `-c value` or `-cvalue`.
///
/// Not getopt_long: Swift's Glibc module does not offer it.
enum Arguments {
    /// The text given for an option; empty for those that take none.
    typealias Values = [String: String]

    /// - Returns: `nil` after the user was told what is wrong.
    static func parse(_ table: [Option]) -> Values? {
        let arguments = CommandLine.arguments
        var values: Values = [:]
        var index = 1
        while index < arguments.count {
            let argument = arguments[index]
            guard let (option, attached) = find(argument, in: table) else {
                complain("unknown option \(argument.prefix { $0 != "=" })")
                return nil
            }
            var text = attached ?? ""
            if option.value == nil, attached != nil {
                complain("--\(option.name) takes no value")
                return nil
            }
            if option.value != nil, attached == nil {
                index += 1
                guard index < arguments.count else {
                    complain("--\(option.name) needs a value")
                    return nil
                }
                text = arguments[index]
            }
            if option.value != nil, text.isEmpty {
                complain("--\(option.name) has an empty value")
                return nil
            }
            if values.updateValue(text, forKey: option.name) != nil {
                complain("--\(option.name) is given twice")
                return nil
            }
            if option.isSecret { mask(index, skipping: arguments[index].utf8.count - text.utf8.count) }
            index += 1
        }
        return values
    }

    /// The option an argument names, and the value written together with it.
    private static func find(_ argument: String, in table: [Option]) -> (Option, String?)? {
        if argument.hasPrefix("--") {
            let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let option = table.first(where: { $0.name == parts[0] }) else { return nil }
            return (option, parts.count == 2 ? String(parts[1]) : nil)
        }
        guard argument.hasPrefix("-"), let letter = argument.dropFirst().first,
            let option = table.first(where: { $0.short == letter })
        else { return nil }
        let rest = argument.dropFirst(2)
        return (option, rest.isEmpty ? nil : String(rest))
    }

    /// `/proc/PID/cmdline` is open to every user: what may be secret in a URL is overwritten in place,
    /// that is everything after the authority, and what stands before an `@` in it.
    private static func mask(_ number: Int, skipping count: Int) {
        guard let argument = unsafe CommandLine.unsafeArgv[number] else { return }
        let bytes = Array(CommandLine.arguments[number].utf8)
        let scheme = bytes[count...].firstRange(of: Array("://".utf8))?.upperBound ?? count
        let slash = bytes[scheme...].firstIndex(of: UInt8(ascii: "/")) ?? bytes.count
        let star = CChar(bitPattern: UInt8(ascii: "*"))
        for index in bytes.indices.dropFirst(slash + 1) { unsafe argument[index] = star }
        guard let at = bytes[scheme..<slash].lastIndex(of: UInt8(ascii: "@")) else { return }
        for index in scheme..<at { unsafe argument[index] = star }
    }

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
