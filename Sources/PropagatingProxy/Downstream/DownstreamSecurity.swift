// SPDX-License-Identifier: Apache-2.0
import HTTP1
import SpanEmitter
import TLS

/// What the handshake of a downstream connection has settled for all its requests.
final class DownstreamSecurity {
    let version: SpanSecurity
    /// By ALPN; `nil`: the peer has offered nothing.
    let selectedProtocol: ApplicationProtocol?
    /// The name the peer asked for, lower-case; empty if it asked for none.
    let serverName: String
    /// Whether the peer has shown a certificate, which was found to be good.
    let hasCertificate: Bool
    /// Whose it is: the subject, or a certificate's first URI or DNS name if it has none.
    let certificateName: [UInt8]
    /// What X-Forwarded-Client-Cert says of it; empty unless the listener writes that field.
    let certificateElement: [UInt8]
    private let context: ServerContext
    private let shown: Int
    /// Whether another name would have been shown another certificate than the peer got.
    let mayBeMisdirected: Bool
    /// The host that was found to be well directed last.
    private var knownHost = ""

    init(_ session: TLSSession, of context: ServerContext, field: Configuration.CallerCertificateField) {
        version = SpanSecurity(session.version, isResumed: session.isResumed)
        selectedProtocol = session.selectedProtocol
        let name = session.requestedName
        serverName = name ?? ""
        let facts = session.peer
        hasCertificate = facts != nil
        certificateName = Array((facts?.shownName ?? "").utf8)
        self.context = context
        shown = session.shownGroup
        mayBeMisdirected = context.groupCount > 1 && name != nil
        if let facts, field == .appendForward || field == .sanitizeSet {
            certificateElement = CertificateElement.make(facts, own: context.facts(ofGroup: shown))
        } else {
            certificateElement = []
        }
    }

    /// Whether a request is for a host that this connection is not for (RFC 9110 §15.5.20): one that has a certificate of
    /// its own.
    ///
    /// - Parameter authority: with or without port.
    func isMisdirected(_ authority: Span<UInt8>) -> Bool {
        let host = authority.extracting(first: hostCount(authority))
        guard !lowercasedEquals(host, serverName), !lowercasedEquals(host, knownHost) else { return false }
        let bytes = [UInt8](capacity: host.count) { out in
            for index in host.indices { out.append(host[index]) }
        }
        let name = String(decoding: bytes, as: UTF8.self).lowercased()
        guard context.shownGroup(for: name) == shown else { return true }
        knownHost = name
        return false
    }

    /// Bytes before the port.
    // bounded: count goes down from the authority's
    private func hostCount(_ authority: Span<UInt8>) -> Int {
        var count = authority.count
        while count > 0, authority[count - 1] &- UInt8(ascii: "0") < 10 { count -= 1 }
        return count > 0 && authority[count - 1] == UInt8(ascii: ":") ? count - 1 : authority.count
    }
}

extension SpanSecurity {
    init(_ version: TLSVersion, isResumed: Bool) {
        self =
            switch version {
            case .tls12: isResumed ? .tls12Resumed : .tls12
            case .tls13: isResumed ? .tls13Resumed : .tls13
            }
    }
}

extension CertificateFacts {
    /// A workload's certificate often has its name in a URI only.
    fileprivate var shownName: String {
        subject.isEmpty ? uris.first ?? dnsNames.first ?? "" : subject
    }
}
