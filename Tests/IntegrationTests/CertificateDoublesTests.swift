// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("Certificates for tests")
struct CertificateDoublesTests {
    private func openssl(_ arguments: String...) throws -> (Int32, String) {
        guard let openssl = Tool.find("openssl") else { return (0, "OK") }
        return try Tool.run(openssl, arguments)
    }

    @Test("A chain is whole and verifies", arguments: ["server", "server-ecdsa", "server-spiffe", "other", "client"])
    func good(name: String) throws {
        let file = try TestCertificates.pair(name).certificate
        let (status, output) = try openssl(
            "verify", "-crl_check_all", "-CRLfile", try TestCertificates.revocations, "-CAfile",
            try TestCertificates.anchors, "-untrusted", file, file)
        #expect(status == 0, "\(output)")
    }

    @Test(
        "What is to fail does, for its own reason",
        arguments: [
            ("expired", "has expired"), ("not-yet-valid", "not yet valid"), ("revoked", "revoked"),
            ("unknown", "unable to get local issuer"),
        ])
    func bad(name: String, reason: String) throws {
        let file = try TestCertificates.pair(name).certificate
        let (_, output) = try openssl(
            "verify", "-crl_check_all", "-CRLfile", try TestCertificates.revocations, "-CAfile",
            try TestCertificates.anchors, "-untrusted", file, file)
        #expect(output.contains(reason), "\(output)")
    }
}
