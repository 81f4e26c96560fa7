// SPDX-License-Identifier: Apache-2.0

/// How a collector behind https is spoken to. Files are paths; whoever makes the context reads them.
public struct ExporterTLS: Sendable, Equatable {
    /// PEM; `nil`: the system's store.
    public var anchors: String?
    /// `nil`: the host of the URL.
    public var serverName: String?
    /// PEM, the leaf first; given together with ``key``.
    public var certificate: String?
    public var key: String?
    public var verifies: Bool

    public init(
        anchors: String? = nil, serverName: String? = nil, certificate: String? = nil, key: String? = nil,
        verifies: Bool = true
    ) {
        self.anchors = anchors
        self.serverName = serverName
        self.certificate = certificate
        self.key = key
        self.verifies = verifies
    }
}
