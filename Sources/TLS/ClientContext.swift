// SPDX-License-Identifier: Apache-2.0
import COpenSSL
public import EventLoop

/// What an upstream or a collector has to show us, and what we show it.
public struct ClientSettings: Sendable {
    /// `nil`: only without ``verifies``.
    public var anchors: TrustAnchors?
    /// Whether the peer's certificate and name are checked.
    public var verifies: Bool
    public var identity: Identity?
    /// In order of preference; empty: none are offered.
    public var protocols: [ApplicationProtocol]
    public var minimumVersion: TLSVersion
    /// DNS names and URIs, a final `*` for any rest, one of which the peer must have in place of the host's name.
    public var allowedNames: [String]

    public init(
        anchors: TrustAnchors?, verifies: Bool = true, identity: Identity? = nil,
        protocols: [ApplicationProtocol] = [.http1], minimumVersion: TLSVersion = .tls12, allowedNames: [String] = []
    ) {
        self.anchors = anchors
        self.verifies = verifies
        self.identity = identity
        self.protocols = protocols
        self.minimumVersion = minimumVersion
        self.allowedNames = allowedNames
    }
}

/// TLS for the connections to one upstream or collector. Nothing of it changes; all threads use it.
@safe
public final class ClientContext: @unchecked Sendable {
    let allowedNames: [String]
    let protocols: [ApplicationProtocol]
    private let verifies: Bool
    private let library: OpaquePointer  // SSL_CTX *

    public init(_ settings: ClientSettings) throws(TLSError) {
        allowedNames = settings.verifies ? settings.allowedNames : []
        protocols = settings.protocols
        verifies = settings.verifies
        let library = try unsafe ContextSettings.make(TLS_client_method(), from: settings.minimumVersion)
        do throws(TLSError) {
            try unsafe Self.set(settings, in: library)
        } catch {
            unsafe SSL_CTX_free(library)
            throw error
        }
        unsafe self.library = library
    }

    private static func set(_ settings: ClientSettings, in library: OpaquePointer) throws(TLSError) {
        if settings.verifies {
            guard let anchors = settings.anchors else { throw .library(call: "ClientContext", reason: "no anchors") }
            unsafe SSL_CTX_set1_cert_store(library, anchors.store)
            unsafe SSL_CTX_set_verify(library, SSL_VERIFY_PEER, certificateJudged)
        } else {
            unsafe SSL_CTX_set_verify(library, SSL_VERIFY_NONE, nil)
        }
        if let identity = settings.identity { try unsafe ContextSettings.add(identity, to: library) }
        let list = settings.protocols.flatMap(\.wireForm)
        if !list.isEmpty { _ = unsafe SSL_CTX_set_alpn_protos(library, list, UInt32(list.count)) }
        let mode = SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
        _ = unsafe openssl_session_cache(library, Int(mode))
        unsafe SSL_CTX_sess_set_new_cb(library, ticketCame)
    }

    /// A session for a connection to be made.
    ///
    /// - Parameters:
    ///   - host: a name, which is sent and which the peer's certificate must be for; or an IP address as text, which
    ///     is not sent.
    ///   - ticket: of an earlier session of this context with this host.
    ///   - offered: by ALPN, in place of the settings' protocols.
    /// - Returns: `nil` without memory.
    public func session(
        host: String, resuming ticket: SessionTicket? = nil, offering offered: [ApplicationProtocol]? = nil,
        buffers: BufferPool
    ) -> TLSSession? {
        guard let session = unsafe TLSSession(library, client: self, buffers: buffers) else { return nil }
        session.setPeer(host, verifies: verifies && allowedNames.isEmpty)
        if let ticket { session.resume(ticket) }
        if let offered { session.offer(offered) }
        return session
    }

    deinit { unsafe SSL_CTX_free(library) }
}

/// A peer's leave to begin the next session at less cost. Of one thread.
@safe
public final class SessionTicket {
    let session: OpaquePointer  // SSL_SESSION *, owned

    init(owning session: OpaquePointer) { unsafe self.session = session }

    deinit { unsafe SSL_SESSION_free(session) }
}
