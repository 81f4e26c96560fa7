// SPDX-License-Identifier: Apache-2.0
import TLS

/// What is wrong with a file of certificates or keys. Tells where it is, never what is in it.
struct TLSFileError: Error, Equatable {
    /// What the file is for: the key of the configuration that names it.
    enum Role: String {
        case certificate, key
        case ocspResponse = "ocsp_response"
        case anchors = "ca"
        case revocations = "crl"
        /// No file's mistake.
        case none = "tls"
    }

    var role: Role
    var path: String
    /// With what was expected.
    var reason: String

    static func unreadable(_ role: Role, _ path: String, _ failure: TextFile.Failure) -> TLSFileError {
        TLSFileError(role: role, path: path, reason: "\(failure.reason), expected a readable file")
    }

    /// Of a chain and its key.
    static func identity(_ mistake: TLSFileMistake, _ files: Configuration.CertificateFiles) -> TLSFileError {
        switch mistake {
        case .keyMismatch:
            TLSFileError(
                role: .key, path: files.key,
                reason: mistake.text + ", expected that of the first certificate in '\(files.certificate)'")
        case .noKey, .encryptedKey, .malformedKey, .weakKey:
            TLSFileError(role: .key, path: files.key, reason: mistake.text)
        case .malformedOCSPResponse:
            TLSFileError(role: .ocspResponse, path: files.ocspResponse ?? "", reason: mistake.text)
        case .noCertificate, .malformedCertificate, .noAnchors, .malformedCRL:
            TLSFileError(role: .certificate, path: files.certificate, reason: mistake.text)
        }
    }

    static func anchors(_ mistake: TLSFileMistake, _ files: Configuration.AnchorFiles) -> TLSFileError {
        if case .malformedCRL = mistake {
            return TLSFileError(role: .revocations, path: files.revocations ?? "", reason: mistake.text)
        }
        return TLSFileError(role: .anchors, path: files.anchors ?? "the system's store", reason: mistake.text)
    }
}
