// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("TLS towards upstreams that fails")
struct TLSUpstreamFailureTests {
    /// What an upstream does wrong, and what the caller, the span and the metrics say of it.
    struct Fault: Sendable, CustomTestStringConvertible {
        let name: String
        /// In `error.type` and, without `tls_`, in the metrics.
        let failure: String
        let reason: String
        var status = 502
        var passage = Passage.http1
        /// Of the upstream.
        var certificate = "server-ecdsa"
        var options: [String] = []
        /// What the proxy shows.
        var ownCertificate: String?
        var trustsCallers = false
        var tls: [String] = []
        var checksRevocation = false

        var testDescription: String { name }
    }

    static let faults = [
        Fault(
            name: "an expired certificate", failure: "expired", reason: "the certificate has expired",
            certificate: "expired"),
        Fault(
            name: "a certificate that is not valid yet", failure: "not_yet_valid",
            reason: "the certificate is not valid yet", certificate: "not-yet-valid"),
        Fault(
            name: "a certificate for another name", failure: "name_mismatch",
            reason: "the certificate is for another name", certificate: "wrong-name"),
        Fault(
            name: "a certificate of an authority nobody trusts", failure: "unknown_ca",
            reason: "the certificate is signed by nobody we trust", certificate: "unknown"),
        Fault(
            name: "a revoked certificate", failure: "revoked", reason: "the certificate has been revoked",
            certificate: "revoked-server", checksRevocation: true),
        Fault(
            name: "an upstream that wants a certificate, by TLS 1.3", failure: "alert_certificate_required",
            reason: "the peer wants a certificate of ours", trustsCallers: true),
        Fault(
            name: "an upstream that wants a certificate, by TLS 1.2", failure: "alert_handshake_failure",
            reason: "the peer found nothing in common", options: ["--max", "1.2"], trustsCallers: true),
        Fault(
            name: "an upstream that knows nobody who signed our certificate", failure: "alert_unknown_ca",
            reason: "the peer does not know the issuer of our certificate", ownCertificate: "client-unknown",
            trustsCallers: true),
        Fault(
            name: "an upstream that finds our certificate revoked, by HTTP/2", failure: "alert_bad_certificate",
            reason: "the peer refuses our certificate", passage: .http2, ownCertificate: "revoked",
            trustsCallers: true),
        Fault(
            name: "no version in common", failure: "alert_protocol_version",
            reason: "the peer speaks no such version of TLS", options: ["--max", "1.2"], tls: ["min_version: \"1.3\""]),
        Fault(
            name: "no cipher in common", failure: "alert_handshake_failure",
            reason: "the peer found nothing in common",
            options: ["--max", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"]),
        Fault(
            name: "no application protocol in common", failure: "no_alpn",
            reason: "no application protocol in common", passage: .http2, options: ["--alpn", "http/1.1"]),
        Fault(
            name: "a handshake that stalls", failure: "timed_out", reason: "the handshake took too long", status: 504,
            options: ["--instead", "stall"]),
        Fault(
            name: "a handshake that stalls, by HTTP/2", failure: "timed_out", reason: "the handshake took too long",
            status: 504, passage: .http2, options: ["--instead", "stall"]),
        Fault(
            name: "an answer in plain text", failure: "not_tls", reason: "the peer does not speak TLS",
            options: ["--instead", "plain"]),
        Fault(
            name: "an upstream that closes in the handshake", failure: "closed",
            reason: "the peer closed the connection during the handshake", options: ["--instead", "close"]),
    ]

    @Test("Whoever calls is told why, and so are span and metrics; no request leaves", arguments: faults)
    func fault(_ fault: Fault) throws {
        var tls = ["ca: \"\(try TestCertificates.anchors)\""] + fault.tls
        if fault.checksRevocation { tls.append("crl: \"\(try TestCertificates.revocations)\"") }
        if let name = fault.ownCertificate {
            let own = try TestCertificates.pair(name)
            tls += ["certificate: \"\(own.certificate)\"", "key: \"\(own.key)\""]
        }
        let stage = try SecureStage(
            by: fault.passage, certificate: fault.certificate,
            options: fault.options + (fault.trustsCallers ? try Self.callers() : []), tls: tls,
            configure: { if fault.status == 504 { $0.upstreams["app"]?.append("timeouts: { connect: 1s }") } })
        let response = try stage.proxy.exchange(request())
        #expect(response.status == fault.status)
        #expect(response.body.text == "TLS to the upstream failed: \(fault.reason)\n")
        let client = try #require(try stage.collector.spans(2).first { $0.kind == .client })
        #expect(client.tags["error"] == "tls_\(fault.failure)")
        #expect(stage.upstream.requests.isEmpty)
        let metrics = try stage.proxy.metrics()
        let errors = "propagating_proxy_upstream_errors_total"
        #expect(metrics[errors, ["upstream": "app", "reason": "tls_failed"]] == 1)
        // Our own certificate is judged when we have done, by TLS 1.3.
        let isLate = fault.trustsCallers && !fault.options.contains("1.2")
        #expect(try stage.handshakes(isLate ? "ok" : fault.failure) == 1)
    }

    /// Of a front that wants certificates.
    private static func callers() throws -> [String] {
        ["--client-ca", try TestCertificates.anchors, "--crl", try TestCertificates.revocations]
    }

    @Test("error.type and the status of an OTLP span tell of it, and the URL is https")
    func errorType() throws {
        let stage = try SecureStage(
            certificate: "expired",
            configure: { $0.exporters = ["otlp: { endpoint: \"\($0.exporters[0].origin)\" }"] })
        #expect(try stage.proxy.exchange(request()).status == 502)
        let client = try #require(try stage.collector.spans(2).first { $0.kind == .client })
        #expect(client.tags["error.type"] == "tls_expired")
        #expect(client.tags["url.full"] == "https://app.test/")
        #expect(client.tags["tls.protocol.version"] == nil)
    }

    @Test("A plain upstream that is spoken to by TLS, and the other way round, fails and says so")
    func plainToTLS() throws {
        let stage = try SecureStage(configure: { $0.upstreams["app"]?.removeLast() })
        #expect(try stage.proxy.exchange(request()).status == 502)
    }

    @Test("With insecure_skip_verify nothing of the certificate matters, and every start warns of it")
    func unverified() throws {
        let stage = try SecureStage(certificate: "unknown", tls: ["insecure_skip_verify: true"])
        #expect(try stage.proxy.exchange(request()).status == 200)
        #expect(stage.proxy.log.contains("WARN"))
        #expect(stage.proxy.log.contains("insecure_skip_verify"))
    }

    @Test("Another endpoint is tried when one fails in the handshake, each with its CLIENT span")
    func otherEndpoint() throws {
        let expired = try TLSFront(for: .ipv4(port: 9), certificate: "expired")
        let stage = try SecureStage(configure: { text in
            let good = text.upstream
            text.upstreams["app"]?[0] = "endpoints: [\"\(expired.address)\", \"\(good)\"]"
        })
        for _ in 0..<2 { #expect(try stage.proxy.exchange(request()).status == 200) }
        let spans = try stage.collector.spans(5)
        #expect(spans.count { $0.kind == .client } > 2)
        #expect(Set(spans.compactMap { $0.tags["error"] }) == ["tls_expired"])
    }

    @Test("An endpoint whose handshakes fail is ejected like one that refuses connections")
    func ejection() throws {
        let expired = try TLSFront(for: .ipv4(port: 9), certificate: "expired")
        let stage = try SecureStage(configure: { text in
            let good = text.upstream
            text.upstreams["app"]?[0] = "endpoints: [\"\(expired.address)\", \"\(good)\"]"
            text.upstreams["app"]?.append("outlier_detection: { consecutive_connect_failures: 2 }")
        })
        for _ in 0..<6 { #expect(try stage.proxy.exchange(request()).status == 200) }
        let ejected = try stage.proxy.metrics { metrics in
            metrics["propagating_proxy_upstream_endpoint_ejected", ["endpoint": "\(expired.address)"]] == 1
        }
        #expect(ejected["propagating_proxy_upstream_ejections_total", ["reason": "consecutive_connect_failures"]] == 1)
    }

    @Test("A retry for connect failures covers a failed handshake too")
    func retry() throws {
        let stage = try SecureStage(
            certificate: "expired",
            configure: {
                $0.routes = [
                    "{ match: { prefix: / }, upstream: app, retry: { on: [connect_failure], attempts: 2 } }"
                ]
            })
        #expect(try stage.proxy.exchange(request()).status == 502)
        #expect(try stage.handshakes("expired") == 3)
    }
}

extension String {
    /// Scheme and authority of the first URL in it.
    fileprivate var origin: String {
        firstMatch(of: #/http:\/\/[0-9.:]+/#).map { String($0.output) } ?? ""
    }
}
