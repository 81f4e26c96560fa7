// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import EventLoop

/// What a certificate says, as plain values.
public struct CertificateFacts: Sendable, Equatable {
    public enum KeyKind: Sendable { case rsa, ecdsa, other }

    /// As RFC 2253 writes names.
    public var subject: String
    public var issuer: String
    /// Of the subject's alternative names (RFC 5280 §4.2.1.6); lower-case.
    public var dnsNames: [String]
    public var uris: [String]
    /// As text, such as `127.0.0.1`.
    public var addresses: [String]
    /// Seconds since 1970.
    public var notBefore: Int64
    public var notAfter: Int64
    /// SHA-256 of the certificate, 32 bytes.
    public var fingerprint: [UInt8]
    public var keyKind: KeyKind

    /// Whether a host may show it: a DNS name, of which a wildcard stands for the whole first label, or an address
    /// (RFC 9525 §6.3).
    public func covers(_ host: String) -> Bool {
        let host = host.lowercased()
        if addresses.contains(host) || dnsNames.contains(host) { return true }
        guard let dot = host.firstIndex(of: "."), dot > host.startIndex, SocketAddress(literal: host, port: 0) == nil
        else { return false }
        return dnsNames.contains("*" + host[dot...])
    }

    /// Whether one of its names is allowed.
    ///
    /// - Parameter allowed: DNS names and URIs; a final `*` stands for any rest.
    func hasName(among allowed: [String]) -> Bool {
        (dnsNames + uris + addresses).contains { name in
            allowed.contains { rule in
                rule.hasSuffix("*") ? name.hasPrefix(rule.dropLast()) : name == rule || name == rule.lowercased()
            }
        }
    }
}

extension CertificateFacts {
    /// - Parameter certificate: `X509 *`, which stays the caller's.
    init(_ certificate: OpaquePointer) {
        subject = unsafe Self.text(of: X509_get_subject_name(certificate))
        issuer = unsafe Self.text(of: X509_get_issuer_name(certificate))
        (dnsNames, uris, addresses) = ([], [], [])
        notBefore = unsafe openssl_seconds(X509_get0_notBefore(certificate))
        notAfter = unsafe openssl_seconds(X509_get0_notAfter(certificate))
        fingerprint = [UInt8](repeating: 0, count: 32)
        var count: UInt32 = 32
        _ = unsafe fingerprint.withUnsafeMutableBufferPointer {
            unsafe X509_digest(certificate, EVP_sha256(), $0.baseAddress, &count)
        }
        let key = unsafe X509_get0_pubkey(certificate)
        keyKind =
            switch unsafe EVP_PKEY_get_base_id(key) {
            case EVP_PKEY_RSA: .rsa
            case EVP_PKEY_EC: .ecdsa
            default: .other
            }
        unsafe readNames(certificate)
    }

    private mutating func readNames(_ certificate: OpaquePointer) {
        let found = unsafe X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil)
        guard let names = OpaquePointer(found) else { return }
        defer { unsafe GENERAL_NAMES_free(names) }
        let total = unsafe openssl_name_count(names)
        for index in 0..<total {
            guard let name = unsafe openssl_name(names, index) else { continue }
            var count: CInt = 0
            guard let start = unsafe openssl_name_bytes(name, &count), count > 0 else { continue }
            let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: Int(count)))
            // A name with a zero or a control character in it is nobody's.
            let isClean = bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F }
            switch unsafe openssl_name_type(name) {
            case GEN_DNS where isClean: dnsNames.append(String(decoding: bytes, as: UTF8.self).lowercased())
            case GEN_URI where isClean: uris.append(String(decoding: bytes, as: UTF8.self))
            case GEN_IPADD: if let text = Self.addressText(bytes) { addresses.append(text) }
            default: break
            }
        }
    }

    private static func addressText(_ bytes: [UInt8]) -> String? {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        let text = IPText(SocketAddress(ip: bytes.span, port: 0))
        let span = text.span
        return String(decoding: span.indices.map { span[$0] }, as: UTF8.self)
    }

    private static func text(of name: OpaquePointer?) -> String {
        guard let name = unsafe name, let memory = unsafe BIO_new(BIO_s_mem()) else { return "" }
        defer { unsafe BIO_free_all(memory) }
        guard unsafe openssl_print_name(memory, name) >= 0 else { return "" }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe BIO_read(memory, $0.baseAddress, CInt($0.count)) }
        return String(decoding: bytes.prefix(max(0, Int(count))), as: UTF8.self)
    }
}
