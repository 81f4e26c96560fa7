// SPDX-License-Identifier: Apache-2.0
import COpenSSL
public import EventLoop

/// What a listener shows its peers and asks of them.
public struct ServerSettings: Sendable {
    /// Whose word a peer's certificate needs.
    public struct ClientAuthentication: Sendable {
        /// Else a peer may come without a certificate; a bad one is refused in any case.
        public var isRequired: Bool
        public var anchors: TrustAnchors
        /// DNS names and URIs, a final `*` for any rest; empty: every name.
        public var allowedNames: [String]

        public init(isRequired: Bool, anchors: TrustAnchors, allowedNames: [String] = []) {
            self.isRequired = isRequired
            self.anchors = anchors
            self.allowedNames = allowedNames
        }
    }

    /// Not empty; the first is for peers that ask for no name we know. Those of the same names go together: a peer gets
    /// the kind of key it understands.
    public var identities: [Identity]
    /// `nil`: peers are not asked for a certificate.
    public var clientAuthentication: ClientAuthentication?
    /// In order of preference.
    public var protocols: [ApplicationProtocol]
    public var minimumVersion: TLSVersion
    /// `nil`: no session is resumed.
    public var ticketKeys: TicketKeys?
    /// With the alert `unrecognized_name`.
    public var refusesUnknownNames: Bool

    public init(
        identities: [Identity], clientAuthentication: ClientAuthentication? = nil,
        protocols: [ApplicationProtocol] = [.http2, .http1], minimumVersion: TLSVersion = .tls12,
        ticketKeys: TicketKeys? = nil, refusesUnknownNames: Bool = false
    ) {
        self.identities = identities
        self.clientAuthentication = clientAuthentication
        self.protocols = protocols
        self.minimumVersion = minimumVersion
        self.ticketKeys = ticketKeys
        self.refusesUnknownNames = refusesUnknownNames
    }
}

/// TLS for the connections of one listener. Nothing of it changes; all workers use it.
@safe
public final class ServerContext: @unchecked Sendable {
    /// Without client certificates, as nginx; with them shorter, since a certificate is not judged again in between.
    private static let resumptionSeconds = 3600
    private static let resumptionSecondsWithPeer = 300

    /// Certificates of the same names, one for each kind of key.
    @safe
    private final class Group {
        let library: OpaquePointer  // SSL_CTX *, owned
        var identities: [Identity] = []

        init(owning library: OpaquePointer) { unsafe self.library = library }

        deinit { unsafe SSL_CTX_free(library) }
    }

    public let identities: [Identity]
    let refusesUnknownNames: Bool
    let allowedNames: [String]
    let ticketKeys: TicketKeys?
    /// As ALPN has it.
    let protocolList: UnsafeBufferPointer<UInt8>
    private let clientAuthentication: ServerSettings.ClientAuthentication?
    private var groups: [Group]

    /// - Throws: what OpenSSL makes of it; nothing a peer does.
    public init(_ settings: ServerSettings) throws(TLSError) {
        identities = settings.identities
        refusesUnknownNames = settings.refusesUnknownNames
        clientAuthentication = settings.clientAuthentication
        allowedNames = settings.clientAuthentication?.allowedNames ?? []
        ticketKeys = settings.ticketKeys
        let list = settings.protocols.flatMap(\.wireForm)
        let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: list.count)
        _ = unsafe copy.initialize(fromContentsOf: list)
        unsafe protocolList = UnsafeBufferPointer(copy)
        groups = []
        for identity in settings.identities {
            let group: Group
            if let found = groups.first(where: { $0.identities.allSatisfy { Self.goTogether($0, identity) } }) {
                group = found
            } else {
                group = try unsafe Group(owning: Self.makeLibrary(settings))
                groups.append(group)
            }
            group.identities.append(identity)
            try unsafe ContextSettings.add(identity, to: group.library)
        }
    }

    private static func goTogether(_ one: Identity, _ other: Identity) -> Bool {
        one.facts.keyKind != other.facts.keyKind
            && Set(one.facts.dnsNames + one.facts.addresses) == Set(other.facts.dnsNames + other.facts.addresses)
    }

    private static func makeLibrary(_ settings: ServerSettings) throws(TLSError) -> OpaquePointer {
        let library = try unsafe ContextSettings.make(TLS_server_method(), from: settings.minimumVersion)
        unsafe SSL_CTX_set_client_hello_cb(library, helloCame, nil)
        unsafe openssl_set_server_name_callback(library, serverNameAsked, nil)
        unsafe SSL_CTX_set_alpn_select_cb(library, protocolAsked, nil)
        unsafe openssl_set_status_callback(library, stapleAsked, nil)
        if let authentication = settings.clientAuthentication {
            let required = authentication.isRequired ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0
            unsafe SSL_CTX_set_verify(library, SSL_VERIFY_PEER | required, certificateJudged)
            unsafe SSL_CTX_set1_cert_store(library, authentication.anchors.store)
            unsafe announce(authentication.anchors, in: library)
        }
        unsafe setResumption(settings, in: library)
        return unsafe library
    }

    /// The names of the authorities, from which a peer with several certificates chooses.
    private static func announce(_ anchors: TrustAnchors, in library: OpaquePointer) {
        guard let objects = unsafe X509_STORE_get0_objects(anchors.store), let names = unsafe openssl_names() else {
            return
        }
        let count = unsafe openssl_object_count(objects)
        for index in 0..<count {
            guard let certificate = unsafe openssl_object_certificate(objects, index),
                let name = unsafe X509_NAME_dup(X509_get_subject_name(certificate))
            else { continue }
            _ = unsafe openssl_add_name(names, name)
        }
        unsafe SSL_CTX_set_client_CA_list(library, names)
    }

    private static func setResumption(_ settings: ServerSettings, in library: OpaquePointer) {
        _ = unsafe openssl_session_cache(library, Int(SSL_SESS_CACHE_OFF))
        guard settings.ticketKeys != nil else {
            unsafe openssl_no_tickets(library)
            _ = unsafe SSL_CTX_set_num_tickets(library, 0)
            return
        }
        // A session must not come back where another word on certificates counts (CVE-2025-23419 of nginx).
        let authentication = settings.clientAuthentication
        var rules = authentication?.anchors.digest ?? []
        if let authentication { rules += Array("\(authentication.isRequired) \(authentication.allowedNames)".utf8) }
        let name = sha256(rules)
        _ = unsafe SSL_CTX_set_session_id_context(library, name, UInt32(name.count))
        // One is enough for a peer with one connection at a time, and each costs a record.
        _ = unsafe SSL_CTX_set_num_tickets(library, 1)
        _ = unsafe SSL_CTX_set_timeout(
            library, authentication == nil ? resumptionSeconds : resumptionSecondsWithPeer)
        _ = unsafe SSL_CTX_set_tlsext_ticket_key_evp_cb(library, ticketKeyWanted)
    }

    /// A session for a connection that was accepted; `nil` without memory.
    public func session(buffers: BufferPool) -> TLSSession? {
        guard let first = groups.first else { return nil }
        return unsafe TLSSession(first.library, server: self, buffers: buffers)
    }

    // MARK: Names

    public var groupCount: Int { groups.count }

    /// What the certificates of a group have in common, such as their names, and more.
    public func facts(ofGroup index: Int) -> CertificateFacts? {
        groups.indices.contains(index) ? groups[index].identities.first?.facts : nil
    }

    /// Which certificates a peer gets that asks for this name (RFC 6066 §3); the first ones if nobody has the name.
    public func shownGroup(for name: String) -> Int { group(for: name) ?? 0 }

    /// `nil`: nobody has the name. An exact name goes before a wildcard.
    func group(for name: String) -> Int? {
        let name = name.lowercased()
        let exact = groups.firstIndex { group in
            group.identities.contains { $0.facts.dnsNames.contains(name) || $0.facts.addresses.contains(name) }
        }
        return exact ?? groups.firstIndex { group in group.identities.contains { $0.facts.covers(name) } }
    }

    func library(ofGroup index: Int) -> OpaquePointer? {
        unsafe groups.indices.contains(index) ? groups[index].library : nil
    }

    func ocspResponse(for certificate: OpaquePointer) -> [UInt8]? {
        for identity in identities where unsafe X509_cmp(identity.leaf.pointer, certificate) == 0 {
            return identity.ocspResponse
        }
        return nil
    }

    deinit { unsafe protocolList.deallocate() }
}
