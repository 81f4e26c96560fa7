// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PropagatingProxy
@testable import TLS

@Suite("X-Forwarded-Client-Cert, as Envoy writes it")
struct CertificateElementTests {
    private func facts(
        subject: String = "CN=caller,O=Example", uris: [String] = [], names: [String] = []
    ) -> CertificateFacts {
        CertificateFacts(
            subject: subject, issuer: "CN=root", dnsNames: names, uris: uris, addresses: [], notBefore: 0, notAfter: 0,
            fingerprint: [0, 15, 16, 255], keyKind: .ecdsa)
    }

    private func element(_ caller: CertificateFacts, own: CertificateFacts? = nil) -> String {
        String(decoding: CertificateElement.make(caller, own: own), as: UTF8.self)
    }

    @Test("An element names who vouches, the certificate's hash, its subject, URIs and DNS names")
    func whole() {
        let caller = facts(uris: ["spiffe://a.test/caller"], names: ["a.test", "b.test"])
        #expect(
            element(caller, own: facts(uris: ["spiffe://a.test/proxy"]))
                == "By=spiffe://a.test/proxy;Hash=000f10ff;Subject=\"CN=caller,O=Example\";URI=spiffe://a.test/caller;"
                + "DNS=a.test;DNS=b.test")
        #expect(element(facts()) == "Hash=000f10ff;Subject=\"CN=caller,O=Example\"")
    }

    @Test(
        "No name of a certificate can end its quotes or begin another pair",
        arguments: [
            (#"CN=a";URI=evil"#, #"Subject="CN=a\";URI=evil""#),
            (#"CN=a\",O=b"#, #"Subject="CN=a\",O=b""#),
            (#"CN=a\\",O=b"#, #"Subject="CN=a\\\",O=b""#),
            (#"CN=a\"#, #"Subject="CN=a\\""#),
            ("CN=a\r\nX: b\u{7F}é", #"Subject="CN=aX: b""#),
        ])
    func quotes(subject: String, expected: String) {
        #expect(element(facts(subject: subject)) == "Hash=000f10ff;" + expected)
    }

    @Test("A URI that could be taken for more than one value stands in quotes")
    func separators() {
        #expect(element(facts(uris: ["a:b;Hash=1,c"])).hasSuffix(#";URI="a:b;Hash=1,c""#))
    }

    @Test("A long certificate is cut to whole parts: without its subject, then without its names")
    func bound() {
        let long = String(repeating: "x", count: 4000)
        #expect(element(facts(subject: long, uris: [long])) == "Hash=000f10ff;URI=" + long)
        #expect(element(facts(uris: [long, long])) == "Hash=000f10ff")
        #expect(element(facts(uris: [long, long]), own: facts(uris: [long, long])) == "Hash=000f10ff")
    }
}
