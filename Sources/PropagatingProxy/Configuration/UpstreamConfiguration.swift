// SPDX-License-Identifier: Apache-2.0
import EventLoop

extension Configuration {
    /// A service requests are sent to: one or more endpoints that are alike.
    struct Upstream: Sendable, Equatable {
        var name: String
        /// Reported as the remote service name.
        var service: String
        /// Not empty.
        var endpoints: [EndpointName]
        var settings: UpstreamSettings
        var balance: Balance
        /// `nil`: endpoints are not asked.
        var healthCheck: HealthCheck?
        /// `nil`: nobody is ejected.
        var outlierDetection: OutlierDetection?
        /// Of the endpoints; when fewer are available, all are used. 0: never.
        var panicPercent: Int
        var host: HostPolicy
        /// `host:port` of the first endpoint (no `:80`, with TLS no `:443`), for `host: rewrite` and requests without a Host.
        var authority: [UInt8]
        /// `nil`: plain text.
        var tls: UpstreamTLS?
    }

    /// A name to be looked up or an address, with its port; or a unix socket.
    enum EndpointName: Sendable, Equatable {
        /// IPv6 addresses stand without brackets.
        case host(String, port: UInt16)
        case unix(SocketAddress)
    }

    enum HostPolicy: String, CaseIterable, Sendable {
        /// The received Host goes upstream.
        case keep
        /// The upstream's own authority goes upstream.
        case rewrite
    }

    /// What an upstream is spoken to in.
    enum UpstreamProtocol: String, CaseIterable, BitwiseCopyable, Sendable {
        case http1
        /// With prior knowledge (RFC 9113 §3.3); with TLS agreed on by ALPN.
        case http2
        /// Whatever ALPN agrees on, for each connection; with TLS only.
        case auto
    }

    struct UpstreamSettings: BitwiseCopyable, Equatable, Sendable {
        var httpVersion = UpstreamProtocol.http1
        var connectMilliseconds = 1000
        /// From the whole request sent to the response head.
        var responseMilliseconds = 15_000
        /// Without a byte of a body.
        var idleMilliseconds = 60_000
        /// The same for gRPC calls, which may be silent for long.
        var grpcIdleMilliseconds = 300_000
        /// Below the idle timeout of common servers, so that we close first.
        var poolIdleMilliseconds = 3000
        /// Idle connections kept per worker and address.
        var maximumIdle = 1024
        /// Open connections, idle ones among them.
        var maximumConnections = 1024
        /// Requests in flight.
        var maximumRequests = 1024
        /// Requests that wait for one of the two above.
        var maximumPending = 1024
        /// How long a request waits for them.
        var pendingMilliseconds = 1000
        /// Retries as a share of the requests that may be retried.
        var retryPercent = 20
        /// Retries that are allowed in any case.
        var retriesPerSecond = 3
    }
}

extension Configuration.Upstream {
    /// What one of so many workers may have of the process's bounds: about its share of the requests.
    /// Rounded up: no bound may come to none at all.
    func share(among workers: Int) -> Self {
        func share(_ bound: Int) -> Int { (bound + workers - 1) / max(1, workers) }
        var own = self
        own.settings.maximumConnections = share(settings.maximumConnections)
        own.settings.maximumRequests = share(settings.maximumRequests)
        own.settings.maximumPending = share(settings.maximumPending)
        own.settings.retriesPerSecond = share(settings.retriesPerSecond)
        return own
    }
}
