// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// What both sides have in common.
enum ContextSettings {
    /// Forward secrecy and AEAD only; TLS 1.3 has nothing else.
    private static let ciphers12 = "ECDHE+AESGCM:ECDHE+CHACHA20"
    /// AES-128 first: as safe as HTTP needs, and cheaper. A peer that puts ChaCha20 first gets it.
    private static let ciphers13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    private static let groups = "X25519:P-256:P-384"
    /// As in OpenSSL's own level 2: no RSA below 2048 bits, no SHA-1.
    private static let securityLevel: CInt = 2

    static func make(_ method: OpaquePointer?, from least: TLSVersion) throws(TLSError) -> OpaquePointer {
        prepareLibrary()
        guard let context = unsafe SSL_CTX_new(method) else { throw .outOfMemory }
        unsafe SSL_CTX_set_security_level(context, securityLevel)
        unsafe openssl_set_options(context)
        let leastNumber = least == .tls13 ? TLS1_3_VERSION : TLS1_2_VERSION
        guard unsafe openssl_version_range(context, leastNumber, TLS1_3_VERSION) == 1,
            unsafe SSL_CTX_set_cipher_list(context, ciphers12) == 1,
            unsafe SSL_CTX_set_ciphersuites(context, ciphers13) == 1,
            unsafe openssl_groups(context, groups) == 1
        else {
            unsafe SSL_CTX_free(context)
            throw .last("SSL_CTX")
        }
        // Buffers are held only while a record is under way: an idle connection has none.
        _ = unsafe openssl_set_mode(context)
        return unsafe context
    }

    /// Shows this certificate, besides one of another kind of key.
    static func add(_ identity: Identity, to context: OpaquePointer) throws(TLSError) {
        guard unsafe SSL_CTX_use_certificate(context, identity.leaf.pointer) == 1,
            unsafe openssl_chain(context, identity.chain) == 1,
            unsafe SSL_CTX_use_PrivateKey(context, identity.key) == 1
        else { throw .last("SSL_CTX_use_certificate") }
    }
}
