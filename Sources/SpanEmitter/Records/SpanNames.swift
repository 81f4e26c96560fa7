// SPDX-License-Identifier: Apache-2.0

/// What the numbers in span records mean; fixed while the process runs.
public struct SpanNames: Sendable {
    /// Reported as the name of this service.
    public var service: String
    /// Version of this program, for resource attributes.
    public var version: String
    /// `http.route` of route 1, 2, …; an empty text is none.
    public var routes: [String]
    /// Service names of upstream 1, 2, …
    public var upstreams: [String]
    /// What upstream 1, 2, … has to prove to be, by TLS; an empty text where it differs by endpoint, or without TLS.
    public var serverNames: [String]
    /// Local addresses of listener 0, 1, …
    public var listeners: [EndpointAddress]

    public init(
        service: String = "unknown_service:propagating-proxy", version: String = "0", routes: [String] = [],
        upstreams: [String] = [], serverNames: [String] = [], listeners: [EndpointAddress] = []
    ) {
        self.service = service
        self.version = version
        self.routes = routes
        self.upstreams = upstreams
        self.serverNames = serverNames
        self.listeners = listeners
    }
}
