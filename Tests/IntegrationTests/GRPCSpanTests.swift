// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Calls between grpcio and grpcio through the binary (Cases/grpc_spans.py), and the spans they leave.
@Suite(
    "What the spans of gRPC calls tell",
    .enabled(if: Tool.hasGRPC, "grpcio is not installed; scripts/setup python brings it"))
struct GRPCSpanTests {
    /// One method per way a call may go. Messages are `nil` where they depend on who is faster.
    struct Expected {
        let method: String
        let status: Int
        var requests: Int?
        var responses: Int?
        var serverError: String?
        var clientError: String?
        /// Instead of these, when the callee is faster.
        var calleesError: String?
        var hasClient = true
        var path: String { "\(["NoRoute": "other", "Refused": "dead"][method] ?? "test").Calls/\(method)" }
    }

    static let expected = [
        Expected(method: "Unary", status: 0, requests: 1, responses: 1),
        Expected(method: "ServerStream", status: 0, requests: 1, responses: 5),
        Expected(method: "ClientStream", status: 0, requests: 3, responses: 1),
        Expected(method: "Bidi", status: 0, requests: 4, responses: 4),
        Expected(method: "Cancel", status: 1),
        Expected(method: "NotFound", status: 5, requests: 1, responses: 0, clientError: "NOT_FOUND"),
        Expected(
            method: "Internal", status: 13, requests: 1, responses: 0, serverError: "INTERNAL", clientError: "INTERNAL"),
        Expected(
            method: "Unimplemented", status: 12, requests: 1, responses: 0, serverError: "UNIMPLEMENTED",
            clientError: "UNIMPLEMENTED"),
        Expected(
            method: "Deadline", status: 4, requests: 1, responses: 0, serverError: "timeout", clientError: "timeout",
            calleesError: "DEADLINE_EXCEEDED"),
        Expected(method: "NoRoute", status: 12, serverError: "no_route", hasClient: false),
        Expected(
            method: "Refused", status: 14, serverError: "connection_refused", clientError: "connection_refused"),
    ]

    @Test("Both spans of every call have its name, status, messages and error, and a metric counts it")
    func calls() throws {
        let folder = try TemporaryFolder()
        let addressFile = "\(folder.path)/address"
        let script = "\(Tool.repository)/Tests/IntegrationTests/Cases/grpc_spans.py"
        let driver = try RunningProgram(
            try #require(Tool.python), ["-u", "-B", script, "--proxy", "@\(addressFile)"])
        let port = try driver.printedPort("upstream-port")
        let collector = try FakeCollector()
        let proxy = try ProxyProcess(configuration: Self.configuration(port, collector).yaml, folder: folder)
        _ = try folder.write("\(proxy.address())\n", to: "address")
        #expect(driver.waitForExit(seconds: 120) == 0, "\(driver.output)")
        let spans = try collector.spans(Self.expected.reduce(0) { $0 + ($1.hasClient ? 2 : 1) })
        for expected in Self.expected { try Self.check(expected, spans.filter { $0.name == expected.path }) }
        let name = "propagating_proxy_grpc_requests_total"
        let metrics = try proxy.metrics { $0[name] >= Self.expected.count }
        #expect(metrics[name, ["route": "front/calls", "grpc_status": "OK"]] == 4)
        #expect(metrics[name, ["route": "front/calls", "grpc_status": "DEADLINE_EXCEEDED"]] == 1)
        #expect(metrics[name, ["route": "none", "grpc_status": "UNIMPLEMENTED"]] == 1)
    }

    private static func configuration(_ port: UInt16, _ collector: FakeCollector) throws -> ConfigurationText {
        let gone = try FakeUpstream(script: FakeUpstream.echo)
        gone.stop()
        var text = ConfigurationText(upstream: .ipv4(port: port))
        text.upstreams["app", default: []].append("protocol: http2")
        text.upstreams["dead"] = ["endpoints: [\"\(gone.address)\"]", "protocol: http2"]
        text.routes = [
            "{ name: calls, match: { prefix: /test. }, upstream: app }",
            "{ match: { prefix: /dead. }, upstream: dead }",
        ]
        text.exporters = ["otlp: { endpoint: \"\(collector.url("/v1/traces"))\", profile: zipkin }"]
        return text
    }

    private static func check(_ expected: Expected, _ spans: [ReportedSpan]) throws {
        #expect(spans.count == (expected.hasClient ? 2 : 1), "\(expected.method): \(spans)")
        for span in spans {
            func number(_ key: String) -> Int? { span.tags[key].flatMap { Int($0) } }
            #expect(number("grpc.status_code") == expected.status, "\(span)")
            let errors = [span.kind == .server ? expected.serverError : expected.clientError]
            #expect((errors + [expected.calleesError ?? errors[0]]).contains(span.tags["error"]), "\(span)")
            #expect(span.tags["rpc.method"] == expected.method)
            if let requests = expected.requests { #expect(number("rpc.request.messages") == requests, "\(span)") }
            if let responses = expected.responses { #expect(number("rpc.response.messages") == responses, "\(span)") }
            for key in ["rpc.request.last_message_us", "rpc.response.last_message_us"] {
                #expect(number(key) ?? 0 <= span.durationMicroseconds, "\(span)")
            }
        }
    }
}
