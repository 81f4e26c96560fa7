// SPDX-License-Identifier: Apache-2.0

/// Why a handshake or a connection failed.
public enum TLSFailure: UInt8, CaseIterable, BitwiseCopyable, Sendable, Error {
    // Our verdict on the peer's certificate.
    case expired, notYetValid, nameMismatch, nameNotAllowed, unknownCA, revoked, certificateRequired, certificateRefused
    // Nothing in common.
    case noSharedVersion, noSharedCipher, noALPN, unknownServerName
    // On the wire.
    case notTLS, helloTooLarge, handshakeTooLarge, truncated, closed, timedOut, protocolError, outOfMemory
    // What the peer says of us.
    case alertCertificateExpired, alertUnknownCA, alertCertificateRequired, alertBadCertificate, alertHandshakeFailure
    case alertProtocolVersion, alertNoALPN, alertUnrecognizedName, alertOther

    /// For metrics, logs and, behind `tls_`, OpenTelemetry's `error.type`.
    public var name: StaticString {
        switch self {
        case .expired: "expired"
        case .notYetValid: "not_yet_valid"
        case .nameMismatch: "name_mismatch"
        case .nameNotAllowed: "name_not_allowed"
        case .unknownCA: "unknown_ca"
        case .revoked: "revoked"
        case .certificateRequired: "certificate_required"
        case .certificateRefused: "certificate_refused"
        case .noSharedVersion: "no_shared_version"
        case .noSharedCipher: "no_shared_cipher"
        case .noALPN: "no_alpn"
        case .unknownServerName: "unknown_server_name"
        case .notTLS: "not_tls"
        case .helloTooLarge: "hello_too_large"
        case .handshakeTooLarge: "handshake_too_large"
        case .truncated: "truncated"
        case .closed: "closed"
        case .timedOut: "timed_out"
        case .protocolError: "protocol_error"
        case .outOfMemory: "out_of_memory"
        case .alertCertificateExpired: "alert_certificate_expired"
        case .alertUnknownCA: "alert_unknown_ca"
        case .alertCertificateRequired: "alert_certificate_required"
        case .alertBadCertificate: "alert_bad_certificate"
        case .alertHandshakeFailure: "alert_handshake_failure"
        case .alertProtocolVersion: "alert_protocol_version"
        case .alertNoALPN: "alert_no_alpn"
        case .alertUnrecognizedName: "alert_unrecognized_name"
        case .alertOther: "alert_other"
        }
    }

    /// One line for people.
    public var reason: StaticString {
        switch self {
        case .expired: "the certificate has expired"
        case .notYetValid: "the certificate is not valid yet"
        case .nameMismatch: "the certificate is for another name"
        case .nameNotAllowed: "the certificate has none of the allowed names"
        case .unknownCA: "the certificate is signed by nobody we trust"
        case .revoked: "the certificate has been revoked"
        case .certificateRequired: "the peer has shown no certificate"
        case .certificateRefused: "the certificate was refused"
        case .noSharedVersion: "no version of TLS in common"
        case .noSharedCipher: "no cipher in common"
        case .noALPN: "no application protocol in common"
        case .unknownServerName: "no certificate for the server name that was asked for"
        case .notTLS: "the peer does not speak TLS"
        case .helloTooLarge: "the ClientHello is too large"
        case .handshakeTooLarge: "the handshake is too large"
        case .truncated: "the connection ended without close_notify"
        case .closed: "the peer closed the connection during the handshake"
        case .timedOut: "the handshake took too long"
        case .protocolError: "the peer broke the protocol"
        case .outOfMemory: "out of memory"
        case .alertCertificateExpired: "the peer says our certificate has expired"
        case .alertUnknownCA: "the peer does not know the issuer of our certificate"
        case .alertCertificateRequired: "the peer wants a certificate of ours"
        case .alertBadCertificate: "the peer refuses our certificate"
        case .alertHandshakeFailure: "the peer found nothing in common"
        case .alertProtocolVersion: "the peer speaks no such version of TLS"
        case .alertNoALPN: "the peer speaks none of our application protocols"
        case .alertUnrecognizedName: "the peer does not know the server name"
        case .alertOther: "the peer ended the handshake with an alert"
        }
    }
}
