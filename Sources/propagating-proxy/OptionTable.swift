// SPDX-License-Identifier: Apache-2.0

/// One option of the command line.
struct Option {
    /// A literal, because getopt_long keeps a pointer to it.
    var name: StaticString
    var short: Character?
    /// What `--help` calls its value; `nil`: it takes none.
    var value: String?
    var help: String
    /// Whether its URL may hold a secret, which other users must not read in the process list.
    var isSecret = false
}

/// The command line: parsed from this table, and `--help` is printed from it.
enum OptionTable {
    static let options = [
        Option(name: "config", short: "c", value: "FILE", help: "read the configuration from this YAML file"),
        Option(name: "check", value: nil, help: "check the configuration, print every mistake, and end"),
        Option(
            name: "listen", value: "ADDR|PORT", help: "without a file: accept requests here, such as 5000 or [::]:5000"),
        Option(
            name: "upstream", value: "URL", help: "without a file: forward to this, such as http://127.0.0.1:9080",
            isSecret: true),
        Option(
            name: "zipkin", value: "URL", help: "without a file: report to Zipkin; /api/v1 in the path means v1 thrift",
            isSecret: true),
        Option(
            name: "otlp", value: "URL", help: "without a file: report by OTLP/HTTP, such as http://127.0.0.1:4318",
            isSecret: true),
        Option(name: "service", value: "NAME", help: "the name of this service in spans"),
        Option(name: "workers", value: "N", help: "threads that serve requests, or auto"),
        Option(name: "admin", value: "ADDR", help: "the admin listener, or off (default 127.0.0.1:9901)"),
        Option(name: "log-level", value: "LEVEL", help: "error, warn, info or debug"),
        Option(name: "log-format", value: "FORMAT", help: "text or json"),
        Option(name: "version", value: nil, help: "print the versions of this program and its libraries"),
        Option(name: "help", short: "h", value: nil, help: "print this"),
    ]

    static var help: String {
        var text = """
            Usage: propagating-proxy --config FILE [--check]
                   propagating-proxy --listen PORT --upstream URL [--zipkin URL] [--otlp URL]

            A reverse proxy that joins or starts traces and reports its spans.


            """
        for option in options {
            let short = option.short.map { "-\($0), " } ?? "    "
            let left = "  \(short)--\(option.name)\(option.value.map { " \($0)" } ?? "")"
            text += left + String(repeating: " ", count: max(1, 30 - left.count)) + option.help + "\n"
        }
        return text + "\nExit codes: 0 clean stop, 1 wrong configuration or address in use, 64 wrong usage.\n"
    }
}
