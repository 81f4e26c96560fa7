// SPDX-License-Identifier: Apache-2.0
import HTTP1
import Propagation
import Testing

@testable import SpanEmitter

@Suite("Spans like those before")
struct TemplateTests {
    private static let names = SpanNames(
        service: "shop", version: "1", routes: (0..<4).map { "/route/\($0)" }, upstreams: ["reviews", "ratings"],
        listeners: [EncodingTests.endpoint("192.0.2.10", 5000), EncodingTests.endpoint("2001:db8::1", 5001)])

    private static let paths = [
        "", "/", "/productpage", "/a\"b\\c", "/a/long/path/of/more/than/sixteen/bytes?", "/Zür\u{7f}ich", "/Endpoint",
        "tags", "/\u{1}",
    ]
    private static let peers = [
        EndpointAddress(), EncodingTests.endpoint("198.51.100.7", 51234), EncodingTests.endpoint("10.0.0.1", 1),
        EncodingTests.endpoint("203.0.113.255", 0), EncodingTests.endpoint("2001:db8::7", 8080),
    ]

    /// Any span there can be.
    private static func span(_ random: inout some RandomNumberGenerator) -> SpanRecord {
        var span = SpanRecord()
        func any<Value>(_ values: [Value], or usual: Value) -> Value {
            Int.random(in: 0..<4, using: &random) == 0 ? values.randomElement(using: &random) ?? usual : usual
        }
        let id = SpanID(UInt64.random(in: 1...UInt64.max, using: &random))
        span.traceID = any(
            [TraceID(short: id.value), TraceID(high: 1, low: 2)], or: TraceID(high: ~id.value, low: id.value))
        span.spanID = id
        span.parentID = any([.none, SpanID(7)], or: SpanID(~id.value))
        span.kind = any([.client], or: .server)
        span.isShared = any([true, false], or: false)
        span.isDebug = any([true, false], or: false)
        span.startMicroseconds = any(
            [0, 999_999_999_999_999, UInt64.max], or: 1_700_000_000_000_000 + id.value % 1_000_000_000_000)
        span.durationMicroseconds = any([1, 99_999_999, 100_000_000, UInt64.max], or: id.value % 100_000)
        span.status = any([0, 204, 404, 503, 999], or: 200)
        span.error = any(SpanError.allCases, or: .none)
        span.resendCount = any([1, 255], or: 0)
        span.method = any([.post, .head, .other], or: .get)
        span.route = any([0, UInt16(id.value % 6)], or: 1)
        span.upstream = any([0, 2, 3], or: 1)
        span.listener = any([1, 2], or: 0)
        span.peer = any(peers, or: peers[1])
        span.security = any([.unfinished], or: .plain)
        span.grpcStatus = any([.ok], or: .notGRPC)
        span.set(
            path: Array(any(paths, or: "/productpage").utf8), host: Array("shop.example:8080".utf8),
            requestID: Array(any(paths, or: "3f0c1d5e-3a7b-4a57-9f0e-0d2f4c1a7b11").utf8))
        return span
    }

    @Test(
        "A span is byte for byte what it is as the first one, whatever came before it", arguments: TagProfile.allCases)
    func same(profile: TagProfile) {
        var random = SystemRandomNumberGenerator()
        let callNames = CallNames()
        let encoder = SpanEncoder(.zipkinV2JSON, profile: profile, names: Self.names, callNames: callNames)
        for _ in 0..<500 {
            var span = Self.span(&random)
            for _ in 0..<3 {
                let first = SpanEncoder(.zipkinV2JSON, profile: profile, names: Self.names, callNames: callNames)
                let (given, expected) = (Self.text(&span, encoder), Self.text(&span, first))
                #expect(given == expected)
                guard given == expected else { return }
                Self.changeParts(of: &span, &random)
            }
        }
    }

    /// Leaves its shape, mostly.
    private static func changeParts(of span: inout SpanRecord, _ random: inout some RandomNumberGenerator) {
        span.traceID.low = UInt64.random(in: 1...UInt64.max, using: &random)
        span.spanID = SpanID(UInt64.random(in: 1...UInt64.max, using: &random))
        span.startMicroseconds ^= 12345
        span.durationMicroseconds = UInt64.random(in: 1...1_000_000_000, using: &random)
        span.peer = peers.randomElement(using: &random) ?? span.peer
        span.set(
            path: Array((paths.randomElement(using: &random) ?? "/").utf8), host: Array("shop.example:8080".utf8),
            requestID: Array((paths.randomElement(using: &random) ?? "/").utf8))
    }

    @Test("Spans of usual exchanges are written like those before, and a shape that comes often is learned later, too")
    func learned() {
        var templates = SpanTemplates()
        let shapes = (0..<200).compactMap { route in
            var span = EncodingTests.record()
            span.route = UInt16(route)
            return SpanShape(&span)
        }
        #expect(shapes.count == 200)
        let text = Array(",{\"id\":\"0123456789abcdef\"}".utf8)
        for shape in shapes { templates.keep(shape, SpanDraft(), text.span, from: 0) }
        #expect(shapes.count { templates.has($0) } > 40)
        for shape in shapes.prefix(8) {
            for _ in 0..<70 where !templates.has(shape) { templates.keep(shape, SpanDraft(), text.span, from: 0) }
            #expect(templates.has(shape))
        }
    }

    @Test("A span too long to be kept is no template")
    func long() throws {
        var templates = SpanTemplates()
        var span = EncodingTests.record()
        let shape = try #require(SpanShape(&span))
        templates.keep(shape, SpanDraft(), [UInt8](repeating: 0x20, count: 701).span, from: 0)
        #expect(!templates.has(shape))
        templates.keep(shape, SpanDraft(), [UInt8](repeating: 0x20, count: 701).span, from: 1)
        #expect(templates.has(shape))
    }

    private static func text(_ span: inout SpanRecord, _ encoder: SpanEncoder) -> String {
        var out = ByteWriter()
        encoder.encode(&span, into: &out)
        return String(decoding: array(out.span), as: UTF8.self)
    }
}

extension SpanTemplates {
    fileprivate func has(_ shape: SpanShape) -> Bool { self[shape] != nil }
}
