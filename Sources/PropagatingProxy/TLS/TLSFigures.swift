// SPDX-License-Identifier: Apache-2.0

/// The certificates in use, and how they were reloaded, as `/metrics` shows them.
struct TLSFigures: Sendable {
    struct Use: Sendable {
        var kind: String
        var name: String
        /// Whether the files are wrong, so that older ones are in use.
        var isFailing: Bool
        /// With the seconds since 1970 they end at.
        var certificates: [(path: String, notAfter: Int64)]
    }

    var loaded: UInt64 = 0
    var failed: UInt64 = 0
    var uses: [Use] = []

    func write(into text: inout MetricsText) {
        text.family(
            "tls_reloads_total", .counter,
            "Times that changed certificates, keys or authorities of a listener, upstream or exporter were read.")
        text.sample(loaded, ["result": "ok"])
        text.sample(failed, ["result": "failed"])
        text.family("tls_reload_failing", .gauge, "Whether the files are wrong, so that older ones are in use.")
        for use in uses { text.sample(use.isFailing ? 1 : 0, ["kind": use.kind, "name": use.name]) }
        text.family(
            "tls_certificate_not_after_seconds", .gauge, "When a certificate in use ends, in seconds since 1970.")
        for use in uses {
            for certificate in use.certificates {
                text.sample(
                    text: String(certificate.notAfter),
                    ["kind": use.kind, "name": use.name, "file": certificate.path])
            }
        }
    }
}
