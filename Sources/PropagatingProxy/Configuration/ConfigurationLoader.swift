// SPDX-License-Identifier: Apache-2.0

/// Makes a configuration out of a file or the command line, and the environment.
public enum ConfigurationLoader {
    public struct Loaded: Sendable {
        public let configuration: Configuration
        /// One line each, for the operator to see.
        public let warnings: [String]
        /// Variables whose values are secrets; nobody asks for them again.
        public let secretVariables: Set<String>
    }

    /// What is wrong, everything at once.
    public struct Failure: Error, Equatable {
        /// `file:line:column: message, expected …`
        public let lines: [String]
    }

    /// - Parameters:
    ///   - options: without ``LaunchOptions/conflict``.
    ///   - environment: for `${NAME}` and the variables of OpenTelemetry.
    public static func load(
        _ options: LaunchOptions, environment: [String: String]
    ) throws(Failure) -> Loaded {
        guard let path = options["config"] else {
            return try load(text: nil, file: "command line", options, environment: environment)
        }
        let text: [UInt8]
        do throws(TextFile.Failure) {
            text = try TextFile.read(path, limit: TextFile.configurationLimit)
        } catch {
            throw Failure(lines: ["\(path):1:1: cannot read the file: \(error.reason), expected a readable YAML file"])
        }
        return try load(text: text, file: path, options, environment: environment)
    }

    /// - Parameters:
    ///   - text: of the file; `nil`: the options are the whole configuration.
    ///   - readsFiles: whether the files of certificates and keys are looked into.
    static func load(
        text: [UInt8]?, file: String, _ options: LaunchOptions = LaunchOptions(), environment: [String: String] = [:],
        readsFiles: Bool = true
    ) throws(Failure) -> Loaded {
        let mistakes = Mistakes(file: file, environment: environment)
        return try load(text: text, file: file, options, environment: environment, mistakes, readsFiles: readsFiles)
    }

    static func load(
        text: [UInt8]?, file: String, _ options: LaunchOptions, environment: [String: String], _ mistakes: Mistakes,
        readsFiles: Bool = true
    ) throws(Failure) -> Loaded {
        var tree = YAMLNode(.mapping([]), at: .option("--listen"))
        if let text {
            do throws(YAMLParser.Failure) {
                tree = try YAMLParser.parse(text)
            } catch {
                throw Failure(lines: ["\(error.origin.text(file: file)): \(error.message)"])
            }
        }
        options.apply(to: &tree, mistakes: mistakes)
        OTelEnvironment(environment: environment, mistakes: mistakes).fill(&tree)
        let configuration = ConfigurationReader(mistakes: mistakes, readsFiles: readsFiles).read(tree)
        guard mistakes.isEmpty else { throw Failure(lines: mistakes.lines) }
        return Loaded(
            configuration: configuration, warnings: mistakes.warnings,
            secretVariables: mistakes.secretVariables.union(OTelEnvironment.secrets))
    }
}
