// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// A certificate with its chain and private key: who we are to a peer.
@safe
public final class Identity: @unchecked Sendable {  // nothing of it changes
    /// Of the leaf.
    public let facts: CertificateFacts
    let leaf: Certificate
    let chain: OpaquePointer  // STACK_OF(X509) *, without the leaf
    let key: OpaquePointer  // EVP_PKEY *
    /// Stapled to handshakes whose peer asks for it (RFC 6066 §8).
    let ocspResponse: [UInt8]?

    /// Dates are not looked at.
    ///
    /// - Parameters:
    ///   - chain: PEM, the leaf first.
    ///   - key: PEM, not encrypted.
    ///   - ocspResponse: DER.
    public init(chain: [UInt8], key: [UInt8], ocspResponse: [UInt8]? = nil) throws(TLSFileMistake) {
        prepareLibrary()
        let certificates = try readCertificates(chain)
        guard let leaf = certificates.first else { throw .noCertificate }
        if let ocspResponse, !Self.isResponse(ocspResponse) { throw .malformedOCSPResponse }
        let key = try unsafe Self.readKey(key)
        guard unsafe X509_check_private_key(leaf.pointer, key) == 1, let list = unsafe openssl_certificates() else {
            ERR_clear_error()
            unsafe EVP_PKEY_free(key)
            throw .keyMismatch
        }
        self.leaf = leaf
        facts = unsafe CertificateFacts(leaf.pointer)
        unsafe self.chain = list
        unsafe self.key = key
        self.ocspResponse = ocspResponse
        for certificate in certificates.dropFirst() where unsafe X509_up_ref(certificate.pointer) == 1 {
            _ = unsafe openssl_add(list, certificate.pointer)
        }
        let bits = unsafe EVP_PKEY_get_bits(key)
        if facts.keyKind == .rsa, bits < 2048 {
            throw .weakKey("an RSA key of \(bits) bits, expected at least 2048")
        }
    }

    private static func readKey(_ pem: [UInt8]) throws(TLSFileMistake) -> OpaquePointer {
        ERR_clear_error()
        let found = unsafe withMemory(pem) { unsafe PEM_read_bio_PrivateKey($0, nil, refusePassphrase, nil) } ?? nil
        if let found = unsafe found { return unsafe found }
        let error = ERR_peek_last_error()
        if openssl_error_library(error) == ERR_LIB_PEM {
            switch openssl_error_reason(error) {
            case PEM_R_NO_START_LINE:
                ERR_clear_error()
                throw .noKey
            case PEM_R_BAD_PASSWORD_READ, PEM_R_BAD_DECRYPT:
                ERR_clear_error()
                throw .encryptedKey
            default: break
            }
        }
        let text = String(decoding: pem.prefix(1 << 16), as: UTF8.self)
        let reason = lastReason()
        if text.contains("ENCRYPTED") { throw .encryptedKey }
        throw text.contains("PRIVATE KEY-----") ? .malformedKey(reason) : .noKey
    }

    private static func isResponse(_ bytes: [UInt8]) -> Bool {
        defer { ERR_clear_error() }
        return unsafe bytes.withUnsafeBufferPointer { bytes -> Bool in
            var start = bytes.baseAddress
            guard let response = unsafe d2i_OCSP_RESPONSE(nil, &start, bytes.count) else { return false }
            defer { unsafe OCSP_RESPONSE_free(response) }
            return unsafe OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL
        }
    }

    deinit {
        unsafe openssl_free_certificates(chain)
        unsafe EVP_PKEY_free(key)
    }
}
