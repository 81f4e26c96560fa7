// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// Why OpenSSL gave a connection up: from its judgement of certificates, else from its last error, which is taken.
func failure(of ssl: OpaquePointer) -> TLSFailure {
    let error = ERR_peek_last_error()
    ERR_clear_error()
    guard openssl_error_library(error) == ERR_LIB_SSL else { return .protocolError }
    switch openssl_error_reason(error) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED: return unsafe verdict(SSL_get_verify_result(ssl))
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return .certificateRequired
    case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_SHARED_GROUPS, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,
        SSL_R_NO_SUITABLE_KEY_SHARE:
        return .noSharedCipher
    case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_UNKNOWN_PROTOCOL, SSL_R_NO_PROTOCOLS_AVAILABLE:
        return .noSharedVersion
    case SSL_R_WRONG_VERSION_NUMBER, SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST: return .notTLS
    case SSL_R_NO_APPLICATION_PROTOCOL: return .noALPN
    case SSL_R_UNEXPECTED_EOF_WHILE_READING: return .truncated
    case SSL_R_EXCESSIVE_MESSAGE_SIZE: return .handshakeTooLarge
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: return .alertCertificateRequired
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED: return .alertCertificateExpired
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA: return .alertUnknownCA
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE,
        SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        return .alertBadCertificate
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY: return .alertHandshakeFailure
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return .alertProtocolVersion
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: return .alertNoALPN
    case SSL_R_TLSV1_UNRECOGNIZED_NAME: return .alertUnrecognizedName
    case 1000..<1256: return .alertOther  // SSL_AD_REASON_OFFSET and the alert's number
    default: return .protocolError
    }
}

/// What a result of X509_verify_cert means.
func verdict(_ result: Int) -> TLSFailure {
    switch CInt(truncatingIfNeeded: result) {
    case X509_V_ERR_CERT_HAS_EXPIRED: .expired
    case X509_V_ERR_CERT_NOT_YET_VALID: .notYetValid
    case X509_V_ERR_CERT_REVOKED: .revoked
    case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: .nameMismatch
    case X509_V_ERR_APPLICATION_VERIFICATION: .nameNotAllowed
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
        X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED, X509_V_ERR_CERT_SIGNATURE_FAILURE:
        .unknownCA
    case X509_V_ERR_OUT_OF_MEM: .outOfMemory
    default: .certificateRefused
    }
}
