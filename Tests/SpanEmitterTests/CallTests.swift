// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import SpanEmitter

@Suite("Spans of gRPC calls")
struct CallTests {
    private static let path = "/org.feuyeux.grpc.LandingService/Talk"

    static func record(_ status: GRPCStatus = .unavailable) -> SpanRecord {
        var span = EncodingTests.record()
        (span.method, span.httpVersion, span.grpcStatus) = (.post, .http2, status)
        (span.requestBytes, span.responseBytes) = (65, 17)
        span.messages.request = figures(2, first: 120, last: 3400)
        span.messages.response = figures(1, first: 45_000, last: 45_000)
        span.set(path: Array(path.utf8), host: Array("svc1:9996".utf8), requestID: Array("r1".utf8))
        return span
    }

    private static func figures(_ count: UInt32, first: UInt32, last: UInt64) -> CallMessages.Figures {
        var figures = CallMessages.Figures()
        (figures.count, figures.firstMicroseconds, figures.lastMicroseconds) = (count, first, last)
        return figures
    }

    /// The record with an attempt that began 1000 us after it.
    private static func pair(_ server: GRPCStatus, _ client: GRPCStatus) -> SpanRecord {
        var span = record(server)
        (span.upstream, span.hasAttempt) = (1, true)
        (span.attempt.status, span.attempt.httpVersion, span.attempt.grpcStatus) = (200, .http2, client)
        span.attempt.startMicroseconds = span.startMicroseconds + 1000
        return span
    }

    private static func body(_ encoding: SpanEncoding, _ frame: BatchFrame? = nil) -> [UInt8] {
        let encoder = SpanEncoder(
            encoding, profile: encoding == .otlpProtobuf ? .otel : .zipkin, names: EncodingTests.names)
        var span = record()
        var out = ByteWriter()
        encoder.encode(&span, into: &out)
        return EncodingTests.framed(out, frame ?? encoder.frame)
    }

    @Test("v1 thrift is byte for byte what thriftpy2 writes")
    func thrift() { #expect(EncodingTests.hex(Self.body(.zipkinV1Thrift)) == GoldenCall.v1Thrift) }

    @Test("v2 proto3 is byte for byte what protobuf-python writes")
    func proto() { #expect(EncodingTests.hex(Self.body(.zipkinV2Proto)) == GoldenCall.v2Proto) }

    @Test("v1 JSON is byte for byte what Python writes")
    func v1JSON() { #expect(String(decoding: Self.body(.zipkinV1JSON), as: UTF8.self) == GoldenCall.v1JSON) }

    @Test("v2 JSON is byte for byte what Python writes")
    func v2JSON() { #expect(String(decoding: Self.body(.zipkinV2JSON), as: UTF8.self) == GoldenCall.v2JSON) }

    @Test("OTLP is byte for byte what protobuf-python writes, with status ERROR")
    func otlp() {
        let frame = BatchFrame(.otlpProtobuf, resource: [("service.name", "ExternalProxy")], scope: ("edge", "1.0"))
        #expect(EncodingTests.hex(Self.body(.otlpProtobuf, frame)) == GoldenCall.otlp)
    }

    private static func tags(_ span: SpanRecord, _ profile: TagProfile) throws -> (name: String, tags: [String: String])
    {
        let object = try EncodingTests.json(span, .zipkinV2JSON, profile).object
        return (object["name"] as? String ?? "", object["tags"] as? [String: String] ?? [:])
    }

    @Test("Both spans of a call are named by service and method, in every profile", arguments: TagProfile.allCases)
    func name(profile: TagProfile) throws {
        var span = Self.pair(.ok, .ok)
        span.route = 1
        #expect(try Self.tags(span, profile).name == "org.feuyeux.grpc.LandingService/Talk")
        span.swapAttempt()
        #expect(try Self.tags(span, profile).name == "org.feuyeux.grpc.LandingService/Talk")
    }

    @Test("Envoy's profile has Envoy's names for a call, and the messages")
    func envoy() throws {
        let tags = try Self.tags(Self.record(), .envoy).tags
        #expect(tags["grpc.path"] == Self.path && tags["grpc.authority"] == "svc1:9996")
        #expect(tags["grpc.status_code"] == "14" && tags["error"] == "true" && tags["http.protocol"] == "HTTP/2")
        #expect(tags["rpc.request.messages"] == "2" && tags["rpc.response.first_message_us"] == "45000")
    }

    @Test("The otel profile tells a call by rpc attributes, not by method and URL")
    func otelTags() throws {
        var span = Self.pair(.ok, .ok)
        for _ in 0..<2 {
            let tags = try Self.tags(span, .otel).tags
            #expect(tags["rpc.system"] == "grpc" && tags["rpc.grpc.status_code"] == "0")
            #expect(tags["error.type"] == nil && tags["otel.status_code"] == nil)
            for key in ["http.request.method", "url.path", "url.full", "http.request.body.size"] {
                #expect(tags[key] == nil, "\(key)")
            }
            span.swapAttempt()
        }
    }

    @Test(
        "CLIENT fails with any status but OK, SERVER with those that are the callee's fault",
        arguments: GRPCStatus.allCases)
    func errors(status: GRPCStatus) throws {
        guard status.isCall else { return }
        let faults: [GRPCStatus] = [
            .unknown, .deadlineExceeded, .unimplemented, .internalError, .unavailable, .dataLoss, .missing,
        ]
        var span = Self.pair(status, status)
        #expect(span.isError == faults.contains(status))
        #expect(try Self.tags(span, .envoy).tags["error"] == (faults.contains(status) ? "true" : nil))
        span.swapAttempt()
        #expect(span.isError == (status != .ok))
        #expect(try Self.tags(span, .envoy).tags["error"] == (faults.contains(status) ? "true" : nil))
        let expected = status == .ok ? nil : status == .missing ? "ERROR" : status.name
        #expect(try Self.tags(span, .zipkin).tags["error"] == expected)
        #expect(try Self.tags(span, .otel).tags["error.type"] == expected)
    }

    @Test("A call its caller gave up is no error; one that this proxy failed says why")
    func ours() throws {
        var span = Self.pair(.cancelled, .cancelled)
        (span.error, span.attempt.error) = (.clientClosed, .clientClosed)
        for _ in 0..<2 {
            #expect(!span.isError && !span.isFaultyCall)
            let tags = try Self.tags(span, .zipkin).tags
            #expect(tags["error"] == nil && tags["proxy.reason"] == "client_closed" && tags["grpc.status_code"] == "1")
            span.swapAttempt()
        }
        span = Self.record(.unavailable)
        (span.error, span.status) = (.connectionRefused, 200)
        #expect(try Self.tags(span, .zipkin).tags["error"] == "connection_refused")
        span = Self.record(.resourceExhausted)
        span.error = .limit
        #expect(try Self.tags(span, .zipkin).tags["proxy.reason"] == "limit")
    }

    @Test("SERVER and CLIENT may end with different statuses; messages are told from each span's own start")
    func pairs() throws {
        var span = Self.pair(.deadlineExceeded, .cancelled)
        let ring = SpanRing(capacity: 2)
        ring.push(&span)
        var seen: [[String: String]] = []
        ring.visit(1) { record in
            for _ in 0..<2 {
                seen.append((try? Self.tags(record, .zipkin).tags) ?? [:])
                record.swapAttempt()
            }
        }
        try #require(seen.count == 2)
        #expect(seen.map { $0["grpc.status_code"] } == ["4", "1"])
        #expect(seen.map { $0["rpc.request.messages"] } == ["2", "2"])
        #expect(seen.map { $0["rpc.request.first_message_us"] } == ["120", "0"])
        #expect(seen.map { $0["rpc.request.last_message_us"] } == ["3400", "2400"])
        #expect(seen.map { $0["rpc.response.first_message_us"] } == ["45000", "44000"])
    }

    @Test("A slot of the ring that held a call gives it to no other exchange")
    func slots() throws {
        let ring = SpanRing(capacity: 2)
        for round in 0..<6 {
            var span = round % 3 == 0 ? Self.record() : EncodingTests.record()
            ring.push(&span)
            ring.visit(1) { record in
                let tags = (try? Self.tags(record, .zipkin).tags) ?? [:]
                #expect((tags["rpc.request.messages"] == "2") == (round % 3 == 0))
            }
            ring.free(1)
        }
    }

    @Test("A call without messages says so; one message has one time")
    func fewMessages() throws {
        var span = Self.record(.ok)
        span.messages = CallMessages()
        let tags = try Self.tags(span, .zipkin).tags
        #expect(tags["rpc.request.messages"] == "0" && tags["rpc.response.messages"] == "0")
        #expect(tags.keys.allSatisfy { !$0.hasSuffix("_us") })
        #expect(try Self.tags(Self.record(), .zipkin).tags["rpc.response.last_message_us"] == nil)
    }

    @Test(
        "A path of another form is shown as far as it goes",
        arguments: [
            ("/Talk", "Talk", nil, "Talk"), ("/a/b/Talk", "a/b/Talk", "a/b", "Talk"), ("/svc/", "svc/", "svc", nil),
            ("//m", "/m", nil, "/m"), ("/", "_OTHER", nil, nil), ("", "_OTHER", nil, nil),
        ] as [(String, String, String?, String?)])
    func paths(path: String, name: String, service: String?, method: String?) throws {
        var span = Self.record()
        span.set(path: Array(path.utf8))
        let found = try Self.tags(span, .zipkin)
        #expect(found.name == name && found.tags["rpc.service"] == service && found.tags["rpc.method"] == method)
    }

    @Test("Callers cannot fill a collector's index of names: the first thousand stay, more are _OTHER")
    func manyNames() throws {
        let names = CallNames()
        func admits(_ name: String) -> Bool { names.admits(Array(name.utf8).span) }
        for number in 0..<CallNames.limit { #expect(admits("s/m\(number)")) }
        #expect(names.refusedCount == 0)
        #expect(!admits("s/other") && admits("s/m0") && admits("s/m999"))
        #expect(names.refusedCount == 1)
    }

    @Test("What a call adds costs records of other exchanges nothing")
    func size() {
        #expect(SpanRecord.fixedByteCount <= 174)
        #expect(MemoryLayout<SpanRecord>.size <= 640)
    }
}
