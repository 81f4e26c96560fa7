// SPDX-License-Identifier: Apache-2.0

/// Reads `upstreams`, a mapping of names.
struct UpstreamReader {
    let mistakes: Mistakes
    let tls: TLSReader

    /// Span records count upstreams in 16 bits.
    private static let maximumCount = 10_000

    func read(_ root: MappingReader) -> [Configuration.Upstream] {
        guard let node = root.value("upstreams") else { return [] }
        guard case .mapping(let entries) = node.content else {
            mistakes.add(node.origin, "'upstreams' is \(node.kindName), expected a mapping of names to upstreams")
            return []
        }
        if entries.count > Self.maximumCount {
            mistakes.add(node.origin, "\(entries.count) upstreams, expected at most \(Self.maximumCount)")
        }
        var names: Set<String> = []
        return entries.compactMap { entry in
            guard names.insert(entry.key).inserted else {
                mistakes.add(entry.origin, "the upstream '\(entry.key)' is given twice, expected once")
                return nil
            }
            if entry.key.isEmpty { mistakes.add(entry.origin, "an upstream has no name, expected one") }
            return upstream(entry)
        }
    }

    private func upstream(_ entry: YAMLEntry) -> Configuration.Upstream {
        let reader = MappingReader(entry.value, "upstreams.*", parent: entry.origin, mistakes)
        defer { reader.finish() }
        let endpoints = endpoints(reader)
        let health = HealthReader(mistakes: mistakes)
        let settings = settings(reader)
        let healthCheck = health.healthCheck(reader)
        if settings.httpVersion == .http2, healthCheck?.kind == .http, let node = reader.value("health_check") {
            mistakes.add(node.origin, "probes of type http speak HTTP/1.1, expected 'type: tcp' with protocol http2")
        }
        let tls = self.tls.upstream(reader, name: entry.key, endpoints: endpoints)
        if settings.httpVersion == .auto, tls == nil, reader.value("tls") == nil, let node = reader.value("protocol") {
            mistakes.add(
                node.origin, "'protocol: auto' is what ALPN agrees on, expected 'tls' with it, or http1 or http2")
        }
        let service = reader.text("service", "the name spans give the remote service")?.text
        let host = reader.choice("host", Configuration.HostPolicy.self) ?? .keep
        return Configuration.Upstream(
            name: entry.key, service: service ?? entry.key, endpoints: endpoints, settings: settings,
            balance: BalanceReader(mistakes: mistakes).read(reader), healthCheck: healthCheck,
            outlierDetection: health.outlierDetection(reader),
            panicPercent: reader.integer("panic_threshold", 0...100, default: 50), host: host,
            authority: endpoints.first.map { AddressNotation.authority($0, overTLS: tls != nil) } ?? [], tls: tls)
    }

    private func endpoints(_ reader: MappingReader) -> [Configuration.EndpointName] {
        guard reader.value("endpoints") != nil else {
            reader.missing("endpoints", "a list of \(AddressNotation.endpointExpected)")
            return []
        }
        let items = reader.list("endpoints")
        if items.isEmpty, let node = reader.value("endpoints"), case .sequence = node.content {
            mistakes.add(node.origin, "'endpoints' is empty, expected \(AddressNotation.endpointExpected)")
        }
        return items.compactMap { item in
            guard let (text, origin) = reader.text(item, "endpoints", AddressNotation.endpointExpected) else {
                return nil
            }
            if let endpoint = AddressNotation.endpoint(text) { return endpoint }
            mistakes.add(
                origin, "'\(ShownText.url(text))' is no endpoint, expected \(AddressNotation.endpointExpected)")
            return nil
        }
    }

    private func settings(_ reader: MappingReader) -> Configuration.UpstreamSettings {
        let timeouts = reader.mapping("timeouts")
        defer { timeouts.finish() }
        var settings = Configuration.UpstreamSettings()
        settings.httpVersion = reader.choice("protocol", Configuration.UpstreamProtocol.self) ?? settings.httpVersion
        settings.connectMilliseconds = timeouts.duration("connect", default: settings.connectMilliseconds)
        settings.pendingMilliseconds = timeouts.duration("pending", default: settings.connectMilliseconds)
        settings.responseMilliseconds = timeouts.duration("response", default: settings.responseMilliseconds)
        settings.idleMilliseconds = timeouts.duration("idle", default: settings.idleMilliseconds)
        settings.grpcIdleMilliseconds = timeouts.duration("grpc_idle", default: settings.grpcIdleMilliseconds)
        settings.poolIdleMilliseconds = timeouts.duration("pool_idle", default: settings.poolIdleMilliseconds)
        settings.maximumIdle = reader.integer("max_idle", 0...65_536, default: settings.maximumIdle)
        settings.maximumConnections = reader.integer(
            "max_connections", 1...1_000_000, default: settings.maximumConnections)
        settings.maximumRequests = reader.integer("max_requests", 1...1_000_000, default: settings.maximumRequests)
        settings.maximumPending = reader.integer("max_pending", 0...65_536, default: settings.maximumPending)
        let budget = reader.mapping("retry_budget")
        defer { budget.finish() }
        settings.retryPercent = budget.integer("percent", 0...100, default: settings.retryPercent)
        settings.retriesPerSecond = budget.integer("min_per_second", 0...10_000, default: settings.retriesPerSecond)
        return settings
    }
}

/// Refuses words that later versions will take, and says so.
func notYet(_ reader: MappingReader, _ key: String, _ words: String..., later: [String]) {
    guard let node = reader.value(key) else { return }
    if case .scalar(let text) = node.content, later.contains(text) {
        reader.mistakes.add(
            node.origin, "'\(key): \(text)' is not supported yet, expected \(words.joined(separator: " or "))")
        return
    }
    _ = reader.choice(key, words.map { ($0, ()) })
}
