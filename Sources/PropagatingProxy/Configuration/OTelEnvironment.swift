// SPDX-License-Identifier: Apache-2.0

/// Fills what a tree leaves out from the variables of the OpenTelemetry specification.
///
/// As that demands, an empty variable counts as unset, and an unknown word is warned of and ignored.
struct OTelEnvironment {
    /// Held secret whether they are used or not.
    static let secrets: Set = [
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    ]

    let environment: [String: String]
    let mistakes: Mistakes

    func fill(_ tree: inout YAMLNode) {
        fillService(&tree)
        fillPropagators(&tree)
        fillSampler(&tree)
        fillExporters(&tree)
    }

    private func value(_ name: String) -> String? {
        guard let text = environment[name], !text.isEmpty else { return nil }
        return text
    }

    private func warn(_ name: String, _ message: String) { mistakes.warn(.environment(name), message) }

    private func scalar(_ text: String, _ name: String) -> YAMLNode {
        YAMLNode(.scalar(LaunchOptions.literal(text)), at: .environment(name))
    }

    private func fillService(_ tree: inout YAMLNode) {
        guard tree["service"] == nil else { return }
        if let name = value("OTEL_SERVICE_NAME") {
            tree["service"] = scalar(name, "OTEL_SERVICE_NAME")
            return
        }
        for (key, text) in pairs("OTEL_RESOURCE_ATTRIBUTES") where key == "service.name" && !text.isEmpty {
            tree["service"] = scalar(text, "OTEL_RESOURCE_ATTRIBUTES")
        }
    }

    private func fillPropagators(_ tree: inout YAMLNode) {
        let name = "OTEL_PROPAGATORS"
        guard let text = value(name) else { return }
        var formats: [String] = []
        var isUsable = false
        for word in words(text) {
            switch word {
            case "b3", "b3multi", "tracecontext":
                if !formats.contains(word) { formats.append(word) }
                isUsable = true
            case "none", "baggage": isUsable = true  // baggage passes through untouched
            default: warn(name, "'\(word)' is not supported and ignored")
            }
        }
        guard isUsable else { return }
        fill(&tree, "extract", formats, name)
        guard tree.value("tracing", "propagation", "inject") == nil else { return }
        if formats.contains("b3"), formats.contains("b3multi") {
            warn(name, "'b3' is read but not written, because the two forms of B3 never go out together")
            formats.removeAll { $0 == "b3" }
        }
        fill(&tree, "inject", formats, name)
    }

    private func fill(_ tree: inout YAMLNode, _ key: String, _ formats: [String], _ name: String) {
        guard tree.value("tracing", "propagation", key) == nil else { return }
        let list = YAMLNode(.sequence(formats.map { scalar($0, name) }), at: .environment(name))
        tree.set(["tracing", "propagation", key], to: list)
    }

    private func fillSampler(_ tree: inout YAMLNode) {
        let name = "OTEL_TRACES_SAMPLER"
        guard let sampler = value(name), tree.value("tracing", "sampling", "percent") == nil else { return }
        let percent: String
        switch sampler {
        case "always_on", "parentbased_always_on": percent = "100"
        case "always_off", "parentbased_always_off": percent = "0"
        case "traceidratio", "parentbased_traceidratio":
            let ratio = value("OTEL_TRACES_SAMPLER_ARG") ?? "1.0"
            guard let text = Self.percent(ofRatio: ratio) else {
                return warn("OTEL_TRACES_SAMPLER_ARG", "'\(ratio)' is no ratio from 0 to 1 and ignored")
            }
            percent = text
        default: return warn(name, "'\(sampler)' is not supported and ignored")
        }
        if !sampler.hasPrefix("parentbased_") {
            warn(name, "'\(sampler)': decisions that come with requests are still honoured; see the listeners' trust")
        }
        tree.set(["tracing", "sampling", "percent"], to: scalar(percent, name))
    }

    /// A decimal from 0 to 1 times 100, exactly: the point moves two digits.
    static func percent(ofRatio text: String) -> String? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(parts.count), !parts[0].isEmpty || parts.count == 2,
            parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }), text.utf8.count <= 64
        else { return nil }
        var fraction = parts.count == 2 ? parts[1] : ""
        while fraction.utf8.count < 2 { fraction += "0" }
        var whole = (parts[0] + fraction.prefix(2))[...]
        while whole.utf8.count > 1, whole.first == "0" { whole = whole.dropFirst() }
        let rest = fraction.dropFirst(2)
        guard let number = Int(whole), number < 100 || (number == 100 && rest.allSatisfy { $0 == "0" }) else {
            return nil
        }
        return rest.isEmpty || number == 100 ? String(whole) : "\(whole).\(rest)"
    }

    private func fillExporters(_ tree: inout YAMLNode) {
        guard tree.value("tracing", "exporters") == nil else { return }
        if let disabled = value("OTEL_SDK_DISABLED"), disabled.lowercased() == "true" { return }
        let name = "OTEL_TRACES_EXPORTER"
        var kinds: [String] = []
        if let text = value(name) {
            for word in words(text) {
                switch word {
                case "zipkin", "otlp": if !kinds.contains(word) { kinds.append(word) }
                case "none": break
                default: warn(name, "'\(word)' is not supported and ignored")
                }
            }
        } else {
            if value("OTEL_EXPORTER_ZIPKIN_ENDPOINT") != nil { kinds.append("zipkin") }
            if otlpEndpoint != nil { kinds.append("otlp") }
        }
        guard !kinds.isEmpty else { return }
        let exporters = kinds.map { $0 == "zipkin" ? zipkin() : otlp() }
        tree.set(["tracing", "exporters"], to: YAMLNode(.sequence(exporters), at: .environment(name)))
    }

    private func zipkin() -> YAMLNode {
        let name = "OTEL_EXPORTER_ZIPKIN_ENDPOINT"
        let endpoint = value(name) ?? "http://localhost:9411/api/v2/spans"
        return LaunchOptions.exporter("zipkin", endpoint: endpoint, at: .environment(name))
    }

    private func otlp() -> YAMLNode {
        let (name, endpoint) = otlpEndpoint ?? ("OTEL_TRACES_EXPORTER", "http://localhost:4318/v1/traces")
        var exporter = LaunchOptions.exporter("otlp", endpoint: endpoint, at: .environment(name))
        for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
            for (key, text) in pairs(name) { exporter.set(["otlp", "headers", key], to: scalar(text, name)) }
        }
        if endpoint.lowercased().hasPrefix("https://") { fillTLS(&exporter) }
        return exporter
    }

    private func fillTLS(_ exporter: inout YAMLNode) {
        for (key, name) in [("ca", "CERTIFICATE"), ("certificate", "CLIENT_CERTIFICATE"), ("key", "CLIENT_KEY")] {
            for variable in ["OTEL_EXPORTER_OTLP_\(name)", "OTEL_EXPORTER_OTLP_TRACES_\(name)"] {
                guard let path = value(variable) else { continue }
                exporter.set(["otlp", "tls", key], to: scalar(path, variable))
            }
        }
    }

    /// The traces form is used as it is; the general one is a base that gets `/v1/traces`.
    private var otlpEndpoint: (name: String, url: String)? {
        let traces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
        if let url = value(traces) { return (traces, url) }
        let general = "OTEL_EXPORTER_OTLP_ENDPOINT"
        return value(general).map { (general, ($0.hasSuffix("/") ? String($0.dropLast()) : $0) + "/v1/traces") }
    }

    private func words(_ text: String) -> [String] {
        text.split(separator: ",").map { Self.trimmed($0) }.filter { !$0.isEmpty }
    }

    /// `key=value,…` with percent-encoded values (the W3C baggage form).
    private func pairs(_ name: String) -> [(String, String)] {
        guard let text = value(name) else { return [] }
        return text.split(separator: ",").compactMap { pair in
            guard let equals = pair.firstIndex(of: "=") else {
                warn(name, "a part without '=' is ignored")
                return nil
            }
            let key = Self.trimmed(pair[..<equals])
            return (key, Self.decoded(Self.trimmed(pair[pair.index(after: equals)...])))
        }
    }

    private static func trimmed(_ text: Substring) -> String {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        var rest = text.drop(while: isBlank)
        while let last = rest.last, isBlank(last) { rest.removeLast() }
        return String(rest)
    }

    private static func decoded(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count,
                let value = UInt8(String(decoding: bytes[(index + 1)...(index + 2)], as: UTF8.self), radix: 16)
            {
                result.append(value)
                index += 3
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
