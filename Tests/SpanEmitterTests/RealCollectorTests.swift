// SPDX-License-Identifier: Apache-2.0
import Foundation
import Propagation
import TestSupport
import Testing

@testable import SpanEmitter

@Suite("Real collectors", .serialized)
struct RealCollectorTests {
    static let jar: String? = {
        let found = Tool.find("zipkin-server-3.5.1-slim.jar", variable: "ZIPKIN_JAR")
        if found == nil || Tool.find("java") == nil { print("skipped: no Zipkin (ZIPKIN_JAR) or no java") }
        return Tool.find("java") == nil ? nil : found
    }()

    static func get(_ port: UInt16, _ path: String) -> String? {
        guard let peer = try? Peer(to: .ipv4(port: port)) else { return nil }
        let request = "GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        guard let response = try? peer.exchange(request), response.status == 200 else { return nil }
        return response.body.text
    }

    static func eventually(_ seconds: Double, _ holds: () -> Bool) -> Bool {
        let end = Date().addingTimeInterval(seconds)
        while Date() < end {
            if holds() { return true }
            Foundation.Thread.sleep(forTimeInterval: 0.1)
        }
        return holds()
    }

    @Test("Zipkin stores the same span from each of its four encodings", .enabled(if: jar != nil))
    func zipkin() throws {
        let port = try SocketAddress.reserved().port
        let server = try RunningProgram(
            try #require(Tool.find("java")), ["-Xmx256m", "-jar", try #require(Self.jar)],
            environment: ["QUERY_PORT": "\(port)"])
        defer { server.kill() }
        try #require(Self.eventually(180) { Self.get(port, "/health") != nil })
        let encodings = SpanEncoding.allCases.filter { $0 != .otlpProtobuf }
        for (index, encoding) in encodings.enumerated() {
            let url = try CollectorURL("http://127.0.0.1:\(port)\(DeliveryTests.paths[encoding] ?? "")")
            let exporter = ExporterConfiguration(name: "real", endpoint: url, encoding: encoding)
            let ring = SpanRing()
            let reporter = SpanReporter(exporters: [exporter], names: EncodingTests.names, rings: [ring])
            try reporter.start()
            var span = EncodingTests.record()
            span.traceID = TraceID(high: 1, low: UInt64(index) + 1)
            span.set(path: Array("/x.Svc/GetEndpoint".utf8))
            ring.push(&span)
            var call = CallTests.record()
            (call.traceID, call.spanID) = (span.traceID, SpanID(7))
            ring.push(&call)
            reporter.stop(flushWithin: 60_000)
            #expect(reporter.snapshot().exporters.first?.exported == 2)
            let id = "0000000000000001" + "000000000000000\(index + 1)"
            var text = ""
            #expect(
                Self.eventually(60) {
                    text = Self.get(port, "/api/v2/trace/\(id)") ?? ""
                    return text.contains("e457b5a2e4d86bd1") && text.contains("0000000000000007")
                })
            #expect(text.contains("\"kind\":\"SERVER\"") && text.contains("\"duration\":45678"))
            #expect(text.contains("\"timestamp\":1700000000123456") && text.contains("/x.Svc/GetEndpoint"))
            #expect(text.contains("\"name\":\"org.feuyeux.grpc.landingservice/talk\""), "Zipkin lowers names")
            #expect(text.contains("\"grpc.status_code\":\"14\"") && text.contains("\"rpc.request.messages\":\"2\""))
        }
    }

    static let otelcol: String? = {
        let found = Tool.find("otelcol", variable: "OTELCOL")
        if found == nil { print("skipped: no otelcol (OTELCOL)") }
        return found
    }()

    @Test(
        "The OpenTelemetry Collector reads our OTLP, with kind, status, times and attributes",
        .enabled(if: otelcol != nil))
    func collector() throws {
        let port = try SocketAddress.reserved().port
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("otelcol.yaml")
        try """
        receivers:
          otlp: { protocols: { http: { endpoint: "127.0.0.1:\(port)" } } }
        exporters:
          debug: { verbosity: detailed }
        service:
          telemetry: { metrics: { level: none } }
          pipelines:
            traces: { receivers: [ otlp ], exporters: [ debug ] }
        """.write(to: file, atomically: true, encoding: .utf8)
        let server = try RunningProgram(try #require(Self.otelcol), ["--config", file.path])
        defer { server.kill() }
        try #require(server.waitForOutput(seconds: 120) { $0.contains("Everything is ready") })
        let exporter = ExporterConfiguration(
            name: "real", endpoint: try CollectorURL("http://127.0.0.1:\(port)/v1/traces"), encoding: .otlpProtobuf)
        let ring = SpanRing()
        let reporter = SpanReporter(exporters: [exporter], names: EncodingTests.names, rings: [ring])
        try reporter.start()
        var span = EncodingTests.record()
        span.status = 503
        span.set(requestID: Array("abc".utf8))
        ring.push(&span)
        var call = CallTests.record()
        call.spanID = SpanID(7)
        ring.push(&call)
        reporter.stop(flushWithin: 60_000)
        #expect(reporter.snapshot().exporters.first?.exported == 2)
        #expect(server.waitForOutput { $0.contains("e457b5a2e4d86bd1") })
        for word in [
            "80f198ee56343ba864fe8b2a57d3eff7", "service.name: Str(ExternalProxy)", "Kind           : Server",
            "Status code    : Error", "http.response.status_code: Int(503)", "x-request-id: Slice([\"abc\"])",
            "Name           : org.feuyeux.grpc.LandingService/Talk", "rpc.grpc.status_code: Int(14)",
            "rpc.request.messages: Int(2)",
        ] {
            #expect(server.waitForOutput { $0.contains(word) }, "\(word)")
        }
    }
}
