// SPDX-License-Identifier: Apache-2.0
import SpanEmitter

/// Reads `tracing.exporters`, a list of mappings with one key each: `zipkin` or `otlp`.
struct ExporterReader {
    let mistakes: Mistakes
    let tls: TLSReader
    /// For all exporters that name none; `nil`: that of their kind.
    let profile: TagProfile?

    static let profiles: [(String, TagProfile)] = [("zipkin", .zipkin), ("otel", .otel), ("envoy", .envoy)]
    private static let zipkinEncodings: [(String, SpanEncoding)] = [
        ("v1-thrift", .zipkinV1Thrift), ("v1-json", .zipkinV1JSON), ("v2-json", .zipkinV2JSON),
        ("v2-proto", .zipkinV2Proto),
    ]
    private static let maximumCount = 8

    func read(_ tracing: MappingReader) -> [ExporterConfiguration] {
        let items = tracing.list("exporters")
        if items.count > Self.maximumCount {
            mistakes.add(items[Self.maximumCount].origin, "more than \(Self.maximumCount) exporters, expected fewer")
        }
        var names: Set<String> = []
        return items.enumerated().compactMap { number, item in
            guard let exporter = exporter(item, number) else { return nil }
            if !names.insert(exporter.name).inserted {
                mistakes.add(item.origin, "a second exporter named '\(exporter.name)', expected different names")
            }
            return exporter
        }
    }

    private func exporter(_ item: YAMLNode, _ number: Int) -> ExporterConfiguration? {
        let kinds = MappingReader(item, "tracing.exporters[]", parent: item.origin, mistakes)
        let given = ["zipkin", "otlp"].filter { kinds.value($0) != nil }
        kinds.finish()
        guard let kind = given.first, given.count == 1 else {
            if case .mapping = item.content {
                mistakes.add(item.origin, "an exporter has \(given.count) kinds, expected 'zipkin' or 'otlp'")
            }
            return nil
        }
        let reader = MappingReader(kinds.value(kind), "tracing.exporters[].\(kind)", parent: item.origin, mistakes)
        defer { reader.finish() }
        let endpoint = endpoint(reader, kind)
        let encoding = encoding(reader, kind, endpoint?.text ?? "")
        let profile = reader.choice("profile", Self.profiles) ?? profile ?? (kind == "otlp" ? .otel : .zipkin)
        let name = reader.text("name", "a name")?.text ?? "\(kind)-\(number)"
        let headers = headers(reader)
        let queueSpans = reader.integer("queue_spans", 1...1_000_000, default: 10_000)
        let queueBytes = reader.size("queue_bytes", 65_536...1 << 30, default: 16 << 20)
        let flush = reader.duration("flush_interval", from: 10, default: 1000)
        let batch = reader.size("batch_bytes", 4096...4 << 20, default: 500_000)
        let timeout = reader.duration("timeout", from: 10, default: 10_000)
        let url = endpoint.flatMap { self.url($0, kind, encoding) }
        let tls = self.tls.exporter(reader, name: name, isSecure: url?.isSecure)
        guard let url else { return nil }
        return ExporterConfiguration(
            name: name, endpoint: url, encoding: encoding, profile: profile, headers: headers, queueSpans: queueSpans,
            queueBytes: queueBytes, flushIntervalMilliseconds: flush, batchBytes: batch, timeoutMilliseconds: timeout,
            tls: tls)
    }

    private func endpoint(_ reader: MappingReader, _ kind: String) -> (text: String, origin: Origin)? {
        let example = kind == "otlp" ? "http://127.0.0.1:4318" : "http://127.0.0.1:9411/api/v2/spans"
        guard reader.value("endpoint") != nil else {
            reader.missing("endpoint", "a URL such as \(example)")
            return nil
        }
        return secret(reader, "endpoint", "a URL such as \(example)")
    }

    private func encoding(_ reader: MappingReader, _ kind: String, _ endpoint: String) -> SpanEncoding {
        if kind == "otlp" {
            notYet(reader, "protocol", "http/protobuf", later: ["grpc", "http/json"])
            return .otlpProtobuf
        }
        let path = CollectorText.split(endpoint).path
        let usual: SpanEncoding = path.contains("/api/v1") ? .zipkinV1Thrift : .zipkinV2JSON
        return reader.choice("encoding", Self.zipkinEncodings) ?? usual
    }

    private func url(
        _ endpoint: (text: String, origin: Origin), _ kind: String, _ encoding: SpanEncoding
    ) -> CollectorURL? {
        let isV1 = encoding == .zipkinV1Thrift || encoding == .zipkinV1JSON
        let path = kind == "otlp" ? "/v1/traces" : isV1 ? "/api/v1/spans" : "/api/v2/spans"
        if let url = try? CollectorURL(CollectorText.completed(endpoint.text, path: path)) { return url }
        // The URL may hold a password: it is not repeated.
        mistakes.add(endpoint.origin, "the endpoint is no URL, expected http://host:port/path, or https")
        return nil
    }

    private func headers(_ reader: MappingReader) -> [ExporterConfiguration.Field] {
        guard let node = reader.value("headers") else { return [] }
        guard case .mapping(let entries) = node.content else {
            mistakes.add(node.origin, "'headers' is \(node.kindName), expected a mapping of names to values")
            return []
        }
        let ours = ["host", "content-length", "content-type", "transfer-encoding", "connection", "b3"]
        return entries.compactMap { entry in
            guard FieldText.isToken(entry.key), !ours.contains(entry.key.lowercased()) else {
                mistakes.add(
                    entry.origin,
                    "\(ShownText.key(entry.key)) cannot be set, expected the name of a header we do not write")
                return nil
            }
            let expected = "a value without control characters"
            guard let (text, origin) = secret(reader, entry.value, entry.key, expected) else { return nil }
            guard FieldText.isValue(text) else {
                mistakes.add(origin, "the value of '\(entry.key)' cannot be sent, expected \(expected)")
                return nil
            }
            return ExporterConfiguration.Field(name: entry.key, value: Secret(text))
        }
    }

    private func secret(
        _ reader: MappingReader, _ key: String, _ expected: String
    ) -> (text: String, origin: Origin)? {
        reader.value(key).flatMap { secret(reader, $0, key, expected) }
    }

    /// Text, or with `file:/path` what that file holds, without surrounding white space.
    private func secret(
        _ reader: MappingReader, _ node: YAMLNode, _ key: String, _ expected: String
    ) -> (text: String, origin: Origin)? {
        guard let (text, origin) = reader.text(node, key, expected) else { return nil }
        mistakes.noteSecret(at: origin)
        guard text.hasPrefix("file:") else { return (text, origin) }
        let path = String(text.dropFirst("file:".count))
        do throws(TextFile.Failure) {
            var bytes = try TextFile.read(path, limit: TextFile.secretLimit)[...]
            while let last = bytes.last, last <= 0x20 { bytes.removeLast() }
            while let first = bytes.first, first <= 0x20 { bytes.removeFirst() }
            if !bytes.isEmpty { return (String(decoding: bytes, as: UTF8.self), origin) }
            mistakes.add(origin, "'\(key)' is '\(text)', an empty file, expected \(expected)")
        } catch {
            mistakes.add(origin, "'\(key)' is '\(text)': \(error.reason), expected a readable file")
        }
        return nil
    }
}

/// A collector's URL as text: only where its path begins matters here.
enum CollectorText {
    /// The authority ends at the first slash, so that a path may hold an `@`.
    static func split(_ url: String) -> (origin: Substring, path: Substring) {
        let start = url.firstRange(of: "://")?.upperBound ?? url.startIndex
        let slash = url[start...].firstIndex(of: "/") ?? url.endIndex
        return (url[..<slash], url[slash...])
    }

    /// A URL with a path is used as it is; without one it gets the usual path.
    static func completed(_ url: String, path: String) -> String {
        let parts = split(url)
        return parts.path.isEmpty || parts.path == "/" ? parts.origin + path : url
    }
}
