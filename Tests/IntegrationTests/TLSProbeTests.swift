// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("Health checks of upstreams with TLS")
struct TLSProbeTests {
    private static let often = "interval: 50ms, timeout: 60s, unhealthy_threshold: 1, healthy_threshold: 1"
    private static let healthy = "propagating_proxy_upstream_endpoint_healthy"
    private static let passed = "propagating_proxy_upstream_health_checks_total"

    @Test("Probes speak TLS as requests do, and go on from one session", arguments: ["http", "tcp"])
    func pass(kind: String) throws {
        let stage = try SecureStage(
            .mutual, configure: { $0.upstreams["app"]?.append("health_check: { type: \(kind), \(Self.often) }") })
        let metrics = try stage.proxy.metrics { $0[Self.passed, ["outcome": "passed"]] >= 3 }
        #expect(metrics[Self.healthy] == 1)
        #expect(metrics[Self.passed, ["outcome": "failed"]] == 0)
        let sessions = try #require(stage.front).sessions(kind == "http" ? 2 : 1)
        #expect(!sessions.isEmpty && sessions.allSatisfy { $0.caller.contains("client") })
        if kind == "http" {
            #expect(sessions.contains { $0.resumed })
            #expect(try stage.upstream.requests(1)[0].head.target == "/healthz")
        }
    }

    @Test("An HTTP probe asks for HTTP/1.1, whatever ALPN would choose for requests")
    func protocolAuto() throws {
        let stage = try SecureStage(
            options: ["--alpn", "h2,http/1.1"],
            configure: {
                $0.upstreams["app"]? += ["protocol: auto", "health_check: { \(Self.often) }"]
            })
        let metrics = try stage.proxy.metrics { $0[Self.passed, ["outcome": "passed"]] >= 1 }
        #expect(metrics[Self.healthy] == 1)
        #expect(Set(try #require(stage.front).sessions().map(\.alpn)) == ["http/1.1"])
    }

    @Test(
        "An endpoint that accepts connections and fails in the handshake is unhealthy",
        arguments: [
            ("expired", "tcp", "the certificate has expired"), ("expired", "http", "the certificate has expired"),
            ("unknown", "tcp", "the certificate is signed by nobody we trust"),
        ])
    func fail(certificate: String, kind: String, reason: String) throws {
        let stage = try SecureStage(
            certificate: certificate,
            configure: { $0.upstreams["app"]?.append("health_check: { type: \(kind), \(Self.often) }") })
        #expect(try stage.proxy.metrics { $0[Self.healthy] == 0 }[Self.healthy] == 0)
        #expect(stage.proxy.program.waitForOutput { $0.contains("reason=\"TLS: \(reason)\"") })
    }

    @Test("A handshake that stalls is a failed probe")
    func stall() throws {
        let stage = try SecureStage(
            options: ["--instead", "stall"],
            configure: { $0.upstreams["app"]?.append("health_check: { type: tcp, interval: 50ms, timeout: 200ms }") })
        let metrics = try stage.proxy.metrics { $0[Self.passed, ["outcome": "failed"]] >= 1 }
        #expect(metrics[Self.passed, ["outcome": "passed"]] == 0)
    }
}
