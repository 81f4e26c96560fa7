// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// The authorities whose word on a peer's certificate counts, and what they have revoked.
@safe
public final class TrustAnchors: @unchecked Sendable {  // nothing of it changes; OpenSSL locks the store
    /// Of the system's store: none, it is looked up as it is needed.
    public let facts: [CertificateFacts]
    public var count: Int { facts.count }
    let store: OpaquePointer  // X509_STORE *
    /// Covers everything that decides on a peer's certificate.
    let digest: [UInt8]

    /// Where the system keeps them; `SSL_CERT_FILE` and `SSL_CERT_DIR` name another place.
    public static func system() throws(TLSFileMistake) -> TrustAnchors { try TrustAnchors(store: nil) }

    private init(store given: Void?) throws(TLSFileMistake) {
        prepareLibrary()
        guard let store = unsafe X509_STORE_new(), unsafe X509_STORE_set_default_paths(store) == 1 else {
            throw .malformedCertificate(lastReason())
        }
        unsafe self.store = store
        facts = []
        digest = []
        unsafe Self.allowPartialChains(store)
    }

    /// - Parameters:
    ///   - pem: certificates of authorities; an intermediate one will do.
    ///   - crl: PEM with a list of each authority in a chain (RFC 5280 §5).
    public init(pem: [UInt8], crl: [UInt8]? = nil) throws(TLSFileMistake) {
        prepareLibrary()
        let certificates = try readCertificates(pem)
        guard !certificates.isEmpty else { throw .noAnchors }
        guard let store = unsafe X509_STORE_new() else { throw .malformedCertificate("out of memory") }
        unsafe self.store = store
        facts = certificates.map { unsafe CertificateFacts($0.pointer) }
        digest = sha256(pem + (crl ?? []))
        for certificate in certificates { _ = unsafe X509_STORE_add_cert(store, certificate.pointer) }
        unsafe Self.allowPartialChains(store)
        if let crl { try unsafe Self.add(crl, to: store) }
    }

    private static func allowPartialChains(_ store: OpaquePointer) {
        _ = unsafe X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN))
    }

    /// As nginx and HAProxy: with a list, every certificate of a chain needs one.
    private static func add(_ crl: [UInt8], to store: OpaquePointer) throws(TLSFileMistake) {
        var count = 0
        _ = unsafe withMemory(crl) { memory in
            while let list = unsafe PEM_read_bio_X509_CRL(memory, nil, refusePassphrase, nil) {
                if unsafe X509_STORE_add_crl(store, list) == 1 { count += 1 }
                unsafe X509_CRL_free(list)
            }
        }
        ERR_clear_error()
        guard count > 0 else { throw .malformedCRL }
        _ = unsafe X509_STORE_set_flags(store, UInt(X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL))
    }

    deinit { unsafe X509_STORE_free(store) }
}

func sha256(_ bytes: [UInt8]) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    _ = unsafe bytes.withUnsafeBytes { bytes in
        unsafe digest.withUnsafeMutableBufferPointer {
            unsafe EVP_Digest(bytes.baseAddress, bytes.count, $0.baseAddress, nil, EVP_sha256(), nil)
        }
    }
    return digest
}
