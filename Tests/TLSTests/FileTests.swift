// SPDX-License-Identifier: Apache-2.0
import TLS
import TestSupport
import Testing

@Suite("Files of certificates and keys")
struct FileTests {
    @Test("A certificate tells whom it is for, and until when")
    func facts() throws {
        let facts = try Loaded.identity("server").facts
        #expect(facts.dnsNames == ["localhost", "*.example.test"])
        #expect(facts.addresses == ["127.0.0.1", "::1"])
        #expect(facts.keyKind == .rsa)
        #expect(facts.notAfter - facts.notBefore > 9 * 365 * 86_400)
        #expect(facts.issuer.contains("CN=Test Intermediate"))
        #expect(try Loaded.identity("server-ecdsa").facts.keyKind == .ecdsa)
    }

    @Test(
        "A wildcard stands for one whole label",
        arguments: [
            ("localhost", true), ("a.example.test", true), ("A.EXAMPLE.TEST", true), ("example.test", false),
            ("a.b.example.test", false), (".example.test", false), ("127.0.0.1", true), ("127.0.0.2", false),
            ("", false),
        ])
    func names(_ name: String, _ isCovered: Bool) throws {
        #expect(try Loaded.identity("server").facts.covers(name) == isCovered)
    }

    @Test("What is wrong with a file is said, and never what is in it")
    func mistakes() throws {
        func mistake(_ chain: [UInt8], _ key: [UInt8], ocsp: [UInt8]? = nil) -> TLSFileMistake? {
            do throws(TLSFileMistake) {
                _ = try Identity(chain: chain, key: key, ocspResponse: ocsp)
                return nil
            } catch {
                return error
            }
        }
        let (chain, key) = try (Loaded.bytes("server.pem"), Loaded.bytes("server.key"))
        #expect(mistake(chain, key) == nil)
        #expect(mistake([], key) == .noCertificate)
        #expect(mistake(key, key) == .noCertificate)
        #expect(mistake(chain, []) == .noKey)
        #expect(mistake(chain, chain) == .noKey)
        #expect(mistake(chain, try Loaded.bytes("client.key")) == .keyMismatch)
        #expect(mistake(chain, key, ocsp: [1, 2, 3]) == .malformedOCSPResponse)
        #expect(mistake(chain, key, ocsp: try Loaded.bytes("server.ocsp")) == nil)
        if case .malformedCertificate = mistake(Array(chain.dropLast(chain.count / 3)), key) {
        } else {
            Issue.record("half a certificate was taken")
        }
        if case .malformedKey = mistake(chain, Array(key.dropLast(key.count / 2))) {
        } else {
            Issue.record("half a key was taken")
        }
        let sealed = try Tool.run(
            "/usr/bin/openssl", ["pkey", "-aes128", "-passout", "pass:x", "-in", TestCertificates.path("server.key")])
        #expect(mistake(chain, Array(sealed.1.utf8)) == .encryptedKey)
    }

    @Test("A file of authorities needs one, and a revocation list must be one")
    func anchors() throws {
        #expect(try Loaded.anchors().count == 1)
        #expect(throws: TLSFileMistake.noAnchors) { try TrustAnchors(pem: Array("nothing".utf8)) }
        #expect(throws: TLSFileMistake.malformedCRL) {
            try TrustAnchors(pem: Loaded.bytes("root.pem"), crl: Loaded.bytes("root.pem"))
        }
    }
}
