// SPDX-License-Identifier: Apache-2.0
import EventLoop
import TLS

/// What handshakes are made from, by the indices of the configuration; `nil` where there is no TLS.
struct TLSContexts: Sendable {
    var listeners: [Published<ServerContext>?]
    var upstreams: [Published<ClientContext>?]
    var exporters: [Published<ClientContext>?]
}

/// How a worker's upstream speaks TLS.
struct UpstreamTLS: Sendable {
    let context: Published<ClientContext>
    /// Verified and sent as SNI in place of the endpoint's host.
    let serverName: String?
    let resumesSessions: Bool

    /// `nil` unless both are there.
    init?(_ tls: Configuration.UpstreamTLS?, _ context: Published<ClientContext>?) {
        guard let tls, let context else { return nil }
        self.context = context
        serverName = tls.serverName
        resumesSessions = tls.resumesSessions
    }
}
