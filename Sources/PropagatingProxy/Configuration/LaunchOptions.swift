// SPDX-License-Identifier: Apache-2.0

/// What the command line says, beside the file. Values are as typed; the configuration's reader
/// judges them.
public struct LaunchOptions: Sendable {
    /// The values given, by the option's name without dashes.
    private var values: [String: String] = [:]

    public init() {}

    public subscript(option: String) -> String? {
        get { values[option] }
        set { values[option] = newValue }
    }

    /// Why the options do not go together; `nil` if they do.
    public var conflict: String? {
        let quick = ["listen", "upstream", "zipkin", "otlp"].filter { values[$0] != nil }
        if values["config"] != nil {
            return quick.first.map { "--config and --\($0) cannot be used together" }
        }
        guard values["listen"] != nil || values["upstream"] != nil || !quick.isEmpty else {
            return "nothing to do: give --config FILE, or --listen and --upstream"
        }
        if values["listen"] == nil { return "--listen is missing (or give --config FILE)" }
        if values["upstream"] == nil { return "--upstream is missing (or give --config FILE)" }
        return nil
    }

    /// Puts the options into a tree: over what a file says, or as the whole configuration.
    func apply(to tree: inout YAMLNode, mistakes: Mistakes) {
        set(&tree, "service", ["service"])
        set(&tree, "workers", ["workers"])
        set(&tree, "log-level", ["log", "level"])
        set(&tree, "log-format", ["log", "format"])
        if let text = values["admin"] {
            let node = YAMLNode(.scalar(Self.literal(text)), at: .option("--admin"))
            tree.set(text == "off" ? ["admin"] : ["admin", "address"], to: node)
        }
        guard let listen = values["listen"], let upstream = values["upstream"] else { return }
        addRoute(&tree, listen, upstream, mistakes)
        let exporters = ["zipkin", "otlp"].compactMap { kind in
            values[kind].map { Self.exporter(kind, endpoint: $0, at: .option("--\(kind)")) }
        }
        guard !exporters.isEmpty else { return }
        tree.set(["tracing", "exporters"], to: YAMLNode(.sequence(exporters), at: .option("--zipkin")))
    }

    private func set(_ tree: inout YAMLNode, _ option: String, _ path: ArraySlice<String>) {
        guard let text = values[option] else { return }
        tree.set(path, to: YAMLNode(.scalar(Self.literal(text)), at: .option("--\(option)")))
    }

    private func addRoute(_ tree: inout YAMLNode, _ listen: String, _ upstream: String, _ mistakes: Mistakes) {
        let isPort = listen.utf8.allSatisfy { (0x30...0x39).contains($0) }
        let address = isPort ? "0.0.0.0:\(listen)" : listen
        var match = YAMLNode(.mapping([]), at: .option("--listen"))
        match.set(["match", "prefix"], to: YAMLNode(.scalar("/"), at: .option("--listen")))
        match.set(["upstream"], to: YAMLNode(.scalar("upstream"), at: .option("--upstream")))
        match.set(["name"], to: YAMLNode(.scalar("all"), at: .option("--upstream")))
        var listener = YAMLNode(.mapping([]), at: .option("--listen"))
        listener.set(["name"], to: YAMLNode(.scalar("front"), at: .option("--listen")))
        listener.set(["address"], to: YAMLNode(.scalar(Self.literal(address)), at: .option("--listen")))
        listener.set(["routes"], to: YAMLNode(.sequence([match]), at: .option("--listen")))
        tree.set(["listeners"], to: YAMLNode(.sequence([listener]), at: .option("--listen")))
        let origin = Origin.option("--upstream")
        let endpoint = YAMLNode(.scalar(Self.literal(Self.endpoint(upstream, mistakes))), at: origin)
        if upstream.hasPrefix("https://") {
            tree.set(["upstreams", "upstream", "tls"], to: YAMLNode(.mapping([]), at: origin))
        }
        tree.set(["upstreams", "upstream", "endpoints"], to: YAMLNode(.sequence([endpoint]), at: origin))
    }

    /// `http://host[:port][/]`, the same with https, `host:port` or `unix:/path`, as an endpoint.
    private static func endpoint(_ text: String, _ mistakes: Mistakes) -> String {
        let origin = Origin.option("--upstream")
        guard !text.hasPrefix("unix:"), let scheme = text.firstRange(of: "://") else { return text }
        let (start, path) = CollectorText.split(text)
        if path.utf8.count > 1 {
            mistakes.add(origin, "the URL's path is not used, expected http://host:port (rewrite paths in a file)")
        }
        let authority = String(start[scheme.upperBound...])
        let hasPort = authority.split(separator: "]").last?.contains(":") ?? false
        let port = text.hasPrefix("https://") ? 443 : 80
        return hasPort && !authority.hasSuffix("]") ? authority : "\(authority):\(port)"
    }

    static func exporter(_ kind: String, endpoint: String, at origin: Origin) -> YAMLNode {
        var exporter = YAMLNode(.mapping([]), at: origin)
        exporter.set([kind, "endpoint"], to: YAMLNode(.scalar(literal(endpoint)), at: origin))
        return exporter
    }

    /// The shell has replaced variables already: what looks like one is meant as it is.
    static func literal(_ text: String) -> String {
        text.split(separator: "${", omittingEmptySubsequences: false).joined(separator: "$${")
    }
}
