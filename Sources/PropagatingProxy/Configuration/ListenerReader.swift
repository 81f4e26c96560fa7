// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Propagation

/// Reads `listeners` with all that hangs below them.
struct ListenerReader {
    let mistakes: Mistakes
    let upstreams: [Configuration.Upstream]
    let tls: TLSReader

    /// Span records count routes over all listeners in 16 bits; 0 is none.
    private static let maximumRoutes = 65_000

    func read(_ root: MappingReader) -> [Configuration.Listener] {
        guard let node = root.value("listeners") else {
            root.missing("listeners", "at least one")
            return []
        }
        let items = root.list("listeners")
        if items.isEmpty, case .sequence = node.content {
            mistakes.add(node.origin, "'listeners' is empty, expected at least one")
        }
        let listeners = items.enumerated().map { listener($1, number: $0) }
        let count = listeners.reduce(0) { $0 + $1.routes.count }
        if count > Self.maximumRoutes {
            mistakes.add(node.origin, "\(count) routes, expected at most \(Self.maximumRoutes)")
        }
        checkUnique(zip(items, listeners))
        warnOfUnused(root, listeners)
        return listeners
    }

    private func listener(_ node: YAMLNode, number: Int) -> Configuration.Listener {
        let reader = MappingReader(node, "listeners[]", parent: node.origin, mistakes)
        defer { reader.finish() }
        let address = reader.converted("address", AddressNotation.listenExpected, AddressNotation.listen)
        if reader.value("address") == nil { reader.missing("address", AddressNotation.listenExpected) }
        let tls = self.tls.listener(reader)
        return Configuration.Listener(
            name: reader.text("name", "a name")?.text ?? "listener-\(number)",
            address: address ?? Configuration.ListenAddress(socketAddress: SocketAddress()),
            direction: reader.choice("direction", Configuration.Direction.self) ?? .inbound,
            httpVersion: reader.choice("protocol", Configuration.ListenerProtocol.self) ?? .auto,
            trust: reader.choice("trust", [("all", Trust.all), ("ids", .ids), ("none", Trust.none)]) ?? .all,
            trustedPeers: trustedPeers(reader),
            outsiderSampledPerSecond: reader.integer("outsider_sampled_per_second", 0...1_000_000, default: 10),
            routes: routes(reader),
            timeouts: timeouts(reader.mapping("timeouts")),
            addsVia: reader.flag("via", default: false),
            forwarded: reader.choice("forwarded_headers", Configuration.ForwardedPolicy.self) ?? .append,
            maximumConnections: reader.integer("max_connections", 0...1_000_000, default: 0),
            maximumRequestsPerConnection: reader.integer(
                "max_requests_per_connection", 0...1_000_000_000, default: 10_000), tls: tls,
            callerCertificateField: callerCertificateField(reader, tls))
    }

    private func trustedPeers(_ reader: MappingReader) -> Configuration.TrustedPeers? {
        guard reader.value("trusted_cidrs") != nil else { return nil }
        let expected = "a network such as 10.0.0.0/8 or ::1/128, or unix"
        var peers = Configuration.TrustedPeers(blocks: [], includesUnix: false)
        for item in reader.list("trusted_cidrs") {
            guard let (text, origin) = reader.text(item, "trusted_cidrs", expected) else { continue }
            if text == "unix" {
                peers.includesUnix = true
            } else if let block = AddressBlock(text) {
                peers.blocks.append(block)
            } else {
                mistakes.add(origin, "'\(text)' is no network, expected \(expected)")
            }
        }
        return peers
    }

    /// Three of the modes do nothing but remove the field where no caller shows a certificate.
    private func callerCertificateField(
        _ reader: MappingReader, _ tls: Configuration.ListenerTLS?
    ) -> Configuration.CallerCertificateField {
        let key = "client_certificate_header"
        let field = reader.choice(key, Configuration.CallerCertificateField.self) ?? .sanitize
        let isIdle = tls?.callers == nil && field != .sanitize && field != .alwaysForwardOnly
        if isIdle, let node = reader.value(key) {
            mistakes.warn(
                node.origin,
                "'\(key): \(field.rawValue)' removes the field here, because no 'tls.client_certificates' are asked for"
            )
        }
        return field
    }

    private func timeouts(_ reader: MappingReader) -> Configuration.ClientTimeouts {
        defer { reader.finish() }
        var timeouts = Configuration.ClientTimeouts()
        timeouts.requestHeadMilliseconds = reader.duration("request_head", default: timeouts.requestHeadMilliseconds)
        timeouts.requestBodyIdleMilliseconds = reader.duration(
            "request_body_idle", default: timeouts.requestBodyIdleMilliseconds)
        timeouts.requestBodyRate = reader.integer(
            "request_body_rate", 0...1_000_000_000, default: timeouts.requestBodyRate)
        timeouts.tlsHandshakeMilliseconds = reader.duration("tls_handshake", default: timeouts.tlsHandshakeMilliseconds)
        timeouts.keepAliveMilliseconds = reader.duration("keep_alive", default: timeouts.keepAliveMilliseconds)
        return timeouts
    }

    private func routes(_ reader: MappingReader) -> [Configuration.Route] {
        guard let node = reader.value("routes") else {
            reader.missing("routes", "at least one route")
            return []
        }
        let items = reader.list("routes")
        if items.isEmpty, case .sequence = node.content {
            mistakes.add(node.origin, "'routes' is empty, expected at least one route")
        }
        return items.map { RouteReader(mistakes: mistakes, upstreams: upstreams).read($0) }
    }

    private func checkUnique(_ pairs: some Sequence<(YAMLNode, Configuration.Listener)>) {
        var names: Set<String> = []
        var addresses: Set<String> = []
        for (node, listener) in pairs {
            let place = node["name"]?.origin ?? node.origin
            if !names.insert(listener.name).inserted {
                mistakes.add(place, "a second listener named '\(listener.name)', expected different names")
            }
            let address = listener.address
            // Port 0 is a different port each time; an address that was wrong has no family.
            let isFixed = address.socketAddress.family == .unix || address.socketAddress.port != 0
            if isFixed, !addresses.insert(address.description).inserted {
                mistakes.add(
                    node["address"]?.origin ?? node.origin,
                    "a second listener on \(address), expected different addresses")
            }
        }
    }

    private func warnOfUnused(_ root: MappingReader, _ listeners: [Configuration.Listener]) {
        guard case .mapping(let entries) = root.value("upstreams")?.content else { return }
        let used = Set(listeners.flatMap { $0.routes.compactMap(\.upstream) })
        for (index, upstream) in upstreams.enumerated() where !used.contains(index) {
            guard let entry = entries.first(where: { $0.key == upstream.name }) else { continue }
            mistakes.warn(entry.origin, "no route leads to the upstream '\(upstream.name)'")
        }
    }
}
