// SPDX-License-Identifier: Apache-2.0
import Glibc
import PropagatingProxy

/// What the executable does, from arguments to exit code.
enum Program {
    private static let success: Int32 = 0
    private static let wrongConfiguration: Int32 = 1
    private static let wrongUsage: Int32 = 64

    static func run() -> Int32 {
        guard let values = Arguments.parse(OptionTable.options) else { return usage() }
        if values["help"] != nil { return show(OptionTable.help) }
        if values["version"] != nil { return show(Version.lines.joined(separator: "\n") + "\n") }
        var options = LaunchOptions()
        for (name, text) in values where name != "check" { options[name] = text }
        if let conflict = options.conflict {
            Arguments.complain(conflict)
            return usage()
        }
        do throws(ConfigurationLoader.Failure) {
            let loaded = try ConfigurationLoader.load(options, environment: Environment.values)
            Environment.erase(loaded.secretVariables)
            for line in loaded.warnings { Arguments.write("warning: \(line)\n", to: STDERR_FILENO) }
            return values["check"] == nil ? Proxy.run(loaded.configuration) : show("the configuration is valid\n")
        } catch {
            for line in error.lines { Arguments.write("\(line)\n", to: STDERR_FILENO) }
            return wrongConfiguration
        }
    }

    private static func usage() -> Int32 {
        Arguments.write("propagating-proxy --help shows the options\n", to: STDERR_FILENO)
        return wrongUsage
    }

    private static func show(_ text: String) -> Int32 {
        Arguments.write(text, to: STDOUT_FILENO)
        return success
    }
}
