// SPDX-License-Identifier: Apache-2.0
import EventLoop
import SpanEmitter

extension MetricNames {
    /// Routes are counted over all listeners, as in span records.
    init(_ configuration: Configuration) {
        self.init(
            routes: configuration.listeners.flatMap { listener in listener.routes.map { "\(listener.name)/\($0.name)" }
            },
            upstreams: configuration.upstreams.map(\.name), upstreamErrors: ProxyError.labels,
            localReplies: ProxyError.labels,
            tlsListeners: configuration.listeners.map { $0.tls == nil ? nil : $0.name })
    }
}

extension SpanNames {
    /// What the numbers in this configuration's span records mean.
    ///
    /// - Parameter listeners: the addresses bound, in the order of the configuration.
    init(_ configuration: Configuration, version: String, listeners: [SocketAddress]) {
        self.init(
            service: configuration.service, version: version,
            routes: configuration.listeners.flatMap { $0.routes.map(\.spanName) },
            upstreams: configuration.upstreams.map(\.service),
            serverNames: configuration.upstreams.map(\.soleServerName),
            listeners: listeners.map { EndpointAddress($0) })
    }
}

extension Configuration.Upstream {
    /// The name all its endpoints prove to be by TLS; empty where they differ, or are addresses, or without TLS.
    fileprivate var soleServerName: String {
        guard let tls else { return "" }
        if let name = tls.serverName { return name }
        let hosts = endpoints.map { endpoint in if case .host(let host, _) = endpoint { host } else { "" } }
        guard let first = hosts.first, hosts.allSatisfy({ $0 == first }) else { return "" }
        return SocketAddress(literal: first, port: 0) == nil ? first : ""
    }
}

extension Configuration.Route {
    /// `http.route`: the pattern the path had to match.
    var spanName: String {
        switch match.path {
        case .exact(let text), .prefix(let text): String(decoding: text, as: UTF8.self)
        case .regex(let text): text
        }
    }
}
