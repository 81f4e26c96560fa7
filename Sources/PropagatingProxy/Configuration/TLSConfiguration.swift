// SPDX-License-Identifier: Apache-2.0
import TLS

extension Configuration {
    /// A certificate chain and what goes with it, as paths.
    struct CertificateFiles: Sendable, Equatable {
        /// PEM, the leaf first.
        var certificate: String
        /// PEM, not encrypted.
        var key: String
        /// DER; stapled to handshakes (RFC 6066 §8).
        var ocspResponse: String?
    }

    /// Who may have signed a peer's certificate, as paths.
    struct AnchorFiles: Sendable, Hashable {
        /// PEM; `nil`: the system's store.
        var anchors: String?
        /// PEM, one list or several.
        var revocations: String?
    }

    struct ListenerTLS: Sendable, Equatable {
        /// Not empty; the first is shown to callers that name no host of the others.
        var certificates: [CertificateFiles]
        var minimumVersion: TLSVersion
        var givesTickets: Bool
        /// A handshake for a name no certificate has fails.
        var refusesUnknownNames: Bool
        /// `nil`: callers are not asked for certificates.
        var callers: CallerVerification?
    }

    struct CallerVerification: Sendable, Equatable {
        /// A handshake without a certificate fails.
        var isRequired: Bool
        var anchors: AnchorFiles
        /// DNS names, and URIs with an optional final `*`; empty: whoever the anchors vouch for.
        var allowedNames: [String]
    }

    struct UpstreamTLS: Sendable, Equatable {
        var anchors: AnchorFiles
        /// `nil`: the endpoint's host.
        var serverName: String?
        /// Looked for in place of the host name unless empty.
        var allowedNames: [String]
        var certificate: CertificateFiles?
        var minimumVersion: TLSVersion
        var verifies: Bool
        var resumesSessions: Bool
    }

    /// What becomes of X-Forwarded-Client-Cert, which tells the application who its caller is.
    enum CallerCertificateField: String, CaseIterable, BitwiseCopyable, Sendable {
        /// Removed.
        case sanitize
        /// Goes on as it came, if the caller has shown a certificate; else removed.
        case forwardOnly = "forward_only"
        /// If the caller has shown a certificate, what it is goes behind what came; else removed.
        case appendForward = "append_forward"
        /// If the caller has shown a certificate, what it is stands in place of what came; else removed.
        case sanitizeSet = "sanitize_set"
        /// Goes on as it came, whoever the caller is.
        case alwaysForwardOnly = "always_forward_only"
    }
}

extension Configuration.ListenerProtocol {
    /// Offered to callers by ALPN (RFC 7301), in order of preference.
    var applicationProtocols: [ApplicationProtocol] {
        switch self {
        case .auto: [.http2, .http1]
        case .http1: [.http1]
        case .http2: [.http2]
        }
    }
}

extension Configuration.UpstreamProtocol {
    /// Offered to endpoints by ALPN (RFC 7301), in order of preference.
    var applicationProtocols: [ApplicationProtocol] {
        switch self {
        case .auto: [.http2, .http1]
        case .http1: [.http1]
        case .http2: [.http2]
        }
    }
}
