// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// What OpenSSL could not do for us: no peer's fault.
public enum TLSError: Error, Equatable, Sendable {
    case outOfMemory
    /// - Parameter reason: OpenSSL's words.
    case library(call: String, reason: String)

    public var text: String {
        switch self {
        case .outOfMemory: "out of memory"
        case .library(let call, let reason): "\(call): \(reason)"
        }
    }

    /// The error OpenSSL has queued last on this thread.
    static func last(_ call: String) -> TLSError { .library(call: call, reason: lastReason()) }
}

/// What is wrong with a file of the operator's.
public enum TLSFileMistake: Error, Equatable, Sendable {
    case noCertificate, noKey, encryptedKey, keyMismatch, noAnchors, malformedCRL, malformedOCSPResponse
    case malformedCertificate(String)
    case malformedKey(String)
    /// Too short for today, or of a kind TLS does not use.
    case weakKey(String)

    /// For the operator, without a byte of the file.
    public var text: String {
        switch self {
        case .noCertificate: "holds no certificate, expected PEM with '-----BEGIN CERTIFICATE-----'"
        case .noKey: "holds no private key, expected PEM with '-----BEGIN PRIVATE KEY-----'"
        case .encryptedKey: "the private key is encrypted, expected one without a passphrase"
        case .keyMismatch: "the private key does not belong to the certificate"
        case .noAnchors: "holds no certificate of an authority, expected PEM with '-----BEGIN CERTIFICATE-----'"
        case .malformedCRL: "holds no revocation list, expected PEM with '-----BEGIN X509 CRL-----'"
        case .malformedOCSPResponse: "is no good OCSP response, expected DER as 'openssl ocsp -respout' writes it"
        case .malformedCertificate(let reason): "a certificate cannot be read (\(reason))"
        case .malformedKey(let reason): "the private key cannot be read (\(reason))"
        case .weakKey(let reason): "the key is not usable (\(reason))"
        }
    }
}

/// OpenSSL's words for the error queued last on this thread, which is emptied.
func lastReason() -> String {
    let error = ERR_peek_last_error()
    ERR_clear_error()
    guard let text = unsafe ERR_reason_error_string(error) else { return "error \(error)" }
    return unsafe String(cString: text)
}
