// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("Collectors behind https")
struct TLSCollectorTests {
    /// A collector behind TLS of another implementation, and the real binary that reports to it.
    private struct Report {
        let collector: FakeCollector
        let front: TLSFront
        let upstream: FakeUpstream
        let proxy: ProxyProcess

        /// - Parameters:
        ///   - exporter: `zipkin` or `otlp`.
        ///   - tls: lines of the exporter's.
        ///   - timeout: the exporter's.
        init(
            _ exporter: String = "zipkin", certificate: String = "server-ecdsa", options: [String] = [], tls: [String],
            timeout: String = "60s",
            answer: @escaping @Sendable (Int) -> FakeCollector.Answer = { _ in .init() }
        ) throws {
            collector = try FakeCollector(answer: answer)
            front = try TLSFront(for: collector.address, certificate: certificate, options)
            upstream = try FakeUpstream()
            let path = exporter == "zipkin" ? "/api/v2/spans" : "/v1/traces"
            var text = ConfigurationText(upstream: upstream.address)
            let url = "https://localhost:\(front.address.port)\(path)?secret=hush"
            text.exporters = [
                "\(exporter): { endpoint: \"\(url)\", flush_interval: 20ms, timeout: \(timeout), \(SecureStage.yaml(tls)) }"
            ]
            proxy = try ProxyProcess(configuration: text.yaml)
        }

        func send(_ count: Int = 1) throws {
            for _ in 0..<count { #expect(try proxy.exchange(request()).status == 200) }
        }

        /// Where spans are once so many have been recorded, which is after the responses have gone out.
        func counts(started: Int) throws -> SpanCounts {
            SpanCounts(try proxy.metrics { SpanCounts($0).started >= started })
        }
    }

    @Test(
        "Spans arrive by TLS 1.2 and 1.3, with and without a certificate of ours, at both kinds",
        arguments: [
            "zipkin", "otlp",
        ], UpstreamSecurity.allCases.filter { $0 != .plain })
    func arrive(exporter: String, security: UpstreamSecurity) throws {
        var options = security == .tls12 ? ["--max", "1.2"] : []
        if security == .mutual { options += ["--client-ca", try TestCertificates.anchors] }
        let report = try Report(exporter, options: options, tls: try SecureStage.lines(security))
        try report.send(5)
        #expect(try report.collector.spans(10).count == 10)
        let session = try #require(report.front.sessions().first)
        #expect(session.version == (security == .tls12 ? "TLSv1.2" : "TLSv1.3"))
        #expect(session.name == "localhost")
        #expect(session.caller.contains("client") == (security == .mutual))
        let host = try #require(report.collector.posts.first)["host"]
        #expect(host == "localhost:\(report.front.address.port)")
    }

    @Test("Posts share a connection; a new one goes on from the session before")
    func resumption() throws {
        let report = try Report(tls: try SecureStage.lines()) { _ in .init(fields: ["Connection: close"]) }
        for count in 1...3 {
            try report.send()
            _ = try report.collector.spans(2 * count)
        }
        #expect(report.front.sessions(3).map(\.resumed) == [false, true, true])
        let kept = try Report(tls: try SecureStage.lines())
        for count in 1...3 {
            try kept.send()
            _ = try kept.collector.spans(2 * count)
        }
        #expect(kept.front.sessions().count == 1)
    }

    @Test(
        "A collector whose certificate is not good gets no span; the log says why, without its path, and none is lost",
        arguments: [
            ("unknown", "the certificate is signed by nobody we trust"), ("expired", "the certificate has expired"),
            ("wrong-name", "the certificate is for another name"),
        ])
    func refused(certificate: String, reason: String) throws {
        let report = try Report(certificate: certificate, tls: try SecureStage.lines())
        try report.send(3)
        #expect(report.proxy.program.waitForOutput { $0.contains("TLS failed: \(reason)") }, "\(report.proxy.log)")
        #expect(!report.proxy.log.contains("hush") && !report.proxy.log.contains("api/v2"))
        #expect(report.collector.posts.isEmpty)
        let spans = try report.counts(started: 6)
        #expect(spans.queued == 6 && spans.dropped == 0, "\(spans)")
    }

    @Test("A collector that wants a certificate of ours says so in the log")
    func unknownCaller() throws {
        let report = try Report(
            options: ["--client-ca", try TestCertificates.anchors], tls: try SecureStage.lines())
        try report.send()
        #expect(report.proxy.program.waitForOutput { $0.contains("the peer wants a certificate of ours") })
        #expect(report.collector.posts.isEmpty)
    }

    @Test("A handshake that stalls ends with the exporter's timeout, and requests do not notice")
    func stall() throws {
        let report = try Report(
            options: ["--instead", "stall"],
            tls: try SecureStage.lines(), timeout: "300ms")
        try report.send(3)
        #expect(report.proxy.program.waitForOutput { $0.contains("timed out in the TLS handshake") })
        #expect(try report.counts(started: 6).queued == 6)
        try report.send(3)
        #expect(report.proxy.terminate() == 0)
    }

    @Test(
        "The OpenTelemetry Collector takes our spans by mutual TLS, as OTLP and as Zipkin",
        .enabled(if: Tool.find("otelcol", variable: "OTELCOL") != nil, "no otelcol"))
    func openTelemetryCollector() throws {
        let ports = try (0..<2).map { _ in try SocketAddress.reserved().port }
        let folder = try TemporaryFolder()
        let pair = try TestCertificates.pair("server")
        let tls =
            "tls: { cert_file: \"\(pair.certificate)\", key_file: \"\(pair.key)\","
            + " client_ca_file: \"\(try TestCertificates.anchors)\" }"
        let file = try folder.write(
            """
            receivers:
              otlp: { protocols: { http: { endpoint: "127.0.0.1:\(ports[0])", \(tls) } } }
              zipkin: { endpoint: "127.0.0.1:\(ports[1])", \(tls) }
            exporters:
              debug: { verbosity: detailed }
            service:
              telemetry: { metrics: { level: none } }
              pipelines:
                traces: { receivers: [ otlp, zipkin ], exporters: [ debug ] }
            """, to: "otelcol.yaml")
        let server = try RunningProgram(
            try #require(Tool.find("otelcol", variable: "OTELCOL")), ["--config", file])
        #expect(server.waitForOutput(seconds: 120) { $0.contains("Everything is ready") })
        let upstream = try FakeUpstream()
        var text = ConfigurationText(upstream: upstream.address)
        let own = SecureStage.yaml(try SecureStage.lines(.mutual))
        text.exporters = [
            "otlp: { endpoint: \"https://127.0.0.1:\(ports[0])\", flush_interval: 20ms, timeout: 60s, \(own) }",
            "zipkin: { endpoint: \"https://localhost:\(ports[1])/api/v2/spans\", flush_interval: 20ms, timeout: 60s, \(own) }",
        ]
        let proxy = try ProxyProcess(configuration: text.yaml)
        for _ in 0..<3 { #expect(try proxy.exchange(request()).status == 200) }
        let metrics = try proxy.metrics { $0["propagating_proxy_spans_exported_total"] == 12 }
        #expect(metrics["propagating_proxy_spans_exported_total"] == 12, "\(proxy.log)")
        let trace = try #require(try upstream.requests(3)[0]["x-b3-traceid"])
        #expect(server.waitForOutput { $0.components(separatedBy: trace).count > 4 }, "both kinds, two spans each")
    }
}
