// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("What other programs read in our posts")
struct ReaderTests {
    /// Prints one line per span: id, parent, kind, name, status.
    private static let thriftReader = """
        import sys
        from py_zipkin.encoding._decoders import _V1ThriftDecoder
        for span in _V1ThriftDecoder().decode_spans(open(sys.argv[1], 'rb').read()):
            status = span.tags['http.status_code']
            status = status.decode() if isinstance(status, bytes) else status
            print(span.span_id, span.parent_id, span.kind.value, span.name, status)
        """
    private static let otlpReader = """
        import sys
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
        request = ExportTraceServiceRequest.FromString(open(sys.argv[1], 'rb').read())
        for span in request.resource_spans[0].scope_spans[0].spans:
            tags = {a.key: a.value for a in span.attributes}
            parent = span.parent_span_id.hex() or None
            kind = {2: 'SERVER', 3: 'CLIENT'}[span.kind]
            print(span.span_id.hex(), parent, kind, span.name, tags['http.response.status_code'].int_value)
        """
    private static let hasThriftReader = imports("py_zipkin.encoding._decoders")
    private static let hasOTLPReader = imports("opentelemetry.proto.collector.trace.v1.trace_service_pb2")

    /// py_zipkin 0.20.2's own protobuf code wants the pure Python implementation.
    private static func python(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let python = try #require(Tool.python)
        let (status, output) = try Tool.run(
            "/usr/bin/env", ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python", python] + arguments, within: 60)
        return (status, output)
    }

    private static func imports(_ module: String) -> Bool {
        guard Tool.python != nil else { return false }
        return (try? python(["-c", "import \(module)"]).status) == 0
    }

    @Test(
        "py_zipkin 0.20.2, the tutorial's tracer, reads our v1 thrift",
        .enabled(if: hasThriftReader, "py_zipkin 0.20.2 is not installed; scripts/setup python brings it"))
    func thrift() throws {
        try check(Self.thriftReader, "zipkin", "/api/v1/spans", ", encoding: v1-thrift")
    }

    @Test(
        "OpenTelemetry's own message classes read our OTLP",
        .enabled(if: hasOTLPReader, "opentelemetry-proto is not installed; scripts/setup python brings it"))
    func otlp() throws {
        try check(Self.otlpReader, "otlp", "/v1/traces", "")
    }

    /// Both spans of one request, linked, under the names and with the status another program reads.
    private func check(_ reader: String, _ kind: String, _ path: String, _ further: String) throws {
        let collector = try FakeCollector()
        let base = kind == "otlp" ? "http://\(collector.address)" : collector.url(path)
        let stage = try Stage.configured { $0.exporters = ["\(kind): { endpoint: \"\(base)\"\(further) }"] }
        #expect(try stage.proxy.exchange("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
        _ = try collector.spans(2)
        let folder = try TemporaryFolder()
        let file = folder.path + "/post"
        try Data(try #require(collector.posts.first).body.bytes).write(to: URL(fileURLWithPath: file))
        let result = try Self.python(["-c", reader, file])
        #expect(result.status == 0, "\(result.output)")
        let lines = result.output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        let server = try #require(lines.first { $0.count > 2 && $0[2] == "SERVER" })
        let client = try #require(lines.first { $0.count > 2 && $0[2] == "CLIENT" })
        #expect(lines.count == 2)
        #expect(server[1] == "None" && client[1] == server[0])
        #expect(server.last == "200" && client.last == "200")
        #expect(client[3].uppercased() == "GET")
    }
}
