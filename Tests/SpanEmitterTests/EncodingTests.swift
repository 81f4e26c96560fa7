// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Foundation
import Propagation
import Testing

@testable import SpanEmitter

@Suite("Span encodings")
struct EncodingTests {
    static let names = SpanNames(
        service: "ExternalProxy", version: "1", routes: ["/r"], upstreams: ["reviews"],
        listeners: [endpoint("192.0.2.10", 5000)])

    static func endpoint(_ ip: String, _ port: UInt16) -> EndpointAddress {
        SocketAddress(literal: ip, port: port).map { EndpointAddress($0) } ?? EndpointAddress()
    }

    static func record() -> SpanRecord {
        var span = SpanRecord()
        span.traceID = TraceID(high: 0x80f1_98ee_5634_3ba8, low: 0x64fe_8b2a_57d3_eff7)
        span.spanID = SpanID(0xe457_b5a2_e4d8_6bd1)
        span.startMicroseconds = 1_700_000_000_123_456
        span.durationMicroseconds = 45_678
        span.status = 200
        span.method = .get
        span.peer = endpoint("198.51.100.7", 51234)
        return span
    }

    /// The worked example: name, peer's service and two tags as given there.
    static func example<Format: SpanFormat>(_ format: Format, _ encoding: SpanEncoding) -> [UInt8] {
        var format = format
        var span = record()
        var out = ByteWriter()
        var address = ByteWriter()
        address.append(ipText: span.peer)
        format.begin(
            &span, name: Array("index".utf8).span, remoteName: Array("curl".utf8).span, address: address.span,
            into: &out)
        format.tag("http.method", Array("GET".utf8).span, into: &out)
        format.tag("http.status_code", number: 200, into: &out)
        format.end(&span, into: &out)
        return framed(out, BatchFrame(encoding, names: names))
    }

    /// The body of a post with one span.
    static func framed(_ span: borrowing ByteWriter, _ frame: BatchFrame) -> [UInt8] {
        var body = ByteWriter()
        let bytes = span.span.extracting(droppingFirst: frame.skippedCount)
        frame.writePrefix(spans: 1, byteCount: bytes.count, into: &body)
        body.append(bytes)
        body.append(frame.suffix)
        return array(body.span)
    }

    static func hex(_ bytes: [UInt8]) -> String { bytes.map { String(format: "%02x", $0) }.joined() }

    @Test("v1 thrift is byte for byte what py_zipkin writes")
    func thrift() { #expect(Self.hex(Self.example(ZipkinV1Thrift(Self.names), .zipkinV1Thrift)) == Golden.v1Thrift) }

    @Test("v2 proto3 is byte for byte what py_zipkin writes")
    func proto() { #expect(Self.hex(Self.example(ZipkinV2Proto(Self.names), .zipkinV2Proto)) == Golden.v2Proto) }

    @Test("v1 JSON is byte for byte the worked example")
    func v1JSON() {
        #expect(String(decoding: Self.example(ZipkinV1JSON(Self.names), .zipkinV1JSON), as: UTF8.self) == Golden.v1JSON)
    }

    @Test("v2 JSON is byte for byte the worked example")
    func v2JSON() {
        #expect(String(decoding: Self.example(ZipkinV2JSON(Self.names), .zipkinV2JSON), as: UTF8.self) == Golden.v2JSON)
    }

    @Test("OTLP is byte for byte what protobuf-python writes")
    func otlp() {
        var format = OTLPProtobuf()
        var span = Self.record()
        var out = ByteWriter()
        format.begin(
            &span, name: Array("GET".utf8).span, remoteName: [UInt8]().span, address: [UInt8]().span, into: &out)
        format.tag("http.request.method", Array("GET".utf8).span, into: &out)
        format.tag("url.path", Array("/".utf8).span, into: &out)
        format.tag("url.scheme", Array("http".utf8).span, into: &out)
        format.tag("http.response.status_code", number: 200, into: &out)
        format.end(&span, into: &out)
        let frame = BatchFrame(
            .otlpProtobuf, resource: [("service.name", "ExternalProxy")], scope: ("edge", "1.0"))
        #expect(Self.hex(Self.framed(out, frame)) == Golden.otlp)
    }

    static func json(_ span: SpanRecord, _ encoding: SpanEncoding = .zipkinV2JSON, _ profile: TagProfile = .zipkin)
        throws -> (text: String, object: [String: Any])
    {
        let encoder = SpanEncoder(encoding, profile: profile, names: names)
        var span = span
        var out = ByteWriter()
        encoder.encode(&span, into: &out)
        let bytes = framed(out, encoder.frame)
        let list = try JSONSerialization.jsonObject(with: Data(bytes)) as? [[String: Any]]
        return (String(decoding: bytes, as: UTF8.self), list?.first ?? [:])
    }

    @Test(
        "Text that Zipkin would take for the other version does not cost the batch",
        arguments: [
            "/x.Svc/GetEndpoint", "tags", "/binaryAnnotations", "a\"b\\c\u{1}é", "/\"Endpoint",
        ])
    func traps(path: String) throws {
        var span = Self.record()
        span.set(path: Array(path.utf8))
        for encoding in [SpanEncoding.zipkinV1JSON, .zipkinV2JSON] {
            let (text, object) = try Self.json(span, encoding)
            if encoding == .zipkinV1JSON {
                #expect(!text.contains("Endpoint\"") && !text.contains("\"tags\""))
            } else {
                #expect(!text.contains("yAnnotations\""))
                #expect((object["tags"] as? [String: String])?["http.path"] == path)
            }
        }
    }

    @Test("Bytes that are no UTF-8 are replaced, in every encoding", arguments: SpanEncoding.allCases)
    func invalidText(encoding: SpanEncoding) {
        var span = Self.record()
        span.set(path: [0x2F, 0xFF, 0xC3])
        let encoder = SpanEncoder(encoding, profile: .zipkin, names: Self.names)
        var out = ByteWriter()
        encoder.encode(&span, into: &out)
        #expect(Self.hex(array(out.span)).contains("2fefbfbdefbfbd"))
    }

    @Test("A shared server half leaves time to its owner in v1 and is marked in v2")
    func shared() throws {
        var span = Self.record()
        span.isShared = true
        #expect(try Self.json(span, .zipkinV1JSON).object["timestamp"] == nil)
        #expect(try Self.json(span).object["shared"] as? Bool == true)
    }

    @Test("Zipkin marks 5xx on both kinds and 4xx on the CLIENT only")
    func errors() throws {
        func error(_ kind: SpanRecord.Kind, _ status: UInt16, _ error: SpanError = .none) throws -> String? {
            var span = Self.record()
            (span.kind, span.status, span.error) = (kind, status, error)
            return (try Self.json(span).object["tags"] as? [String: String])?["error"]
        }
        #expect(try error(.server, 404) == nil)
        #expect(try error(.client, 404) == "404")
        #expect(try error(.server, 503) == "503")
        #expect(try error(.server, 504, .timeout) == "timeout")
        #expect(try error(.client, 0, .connectionRefused) == "connection_refused")
        #expect(try error(.server, 200, .connectionReset) == "connection_reset")
        #expect(try error(.server, 101) == nil)
        #expect(try error(.server, 0, .clientClosed) == nil)
    }

    @Test("Every profile of every encoding writes JSON that parses, with the name its convention asks for")
    func profiles() throws {
        var span = Self.record()
        (span.route, span.upstream) = (1, 1)
        span.set(path: Array("/cart".utf8), host: Array("shop.example:8080".utf8))
        for profile in TagProfile.allCases {
            _ = try Self.json(span, .zipkinV1JSON, profile)
            let server = try Self.json(span, .zipkinV2JSON, profile).object
            #expect(server["name"] as? String == (profile == .envoy ? "shop.example:8080" : "GET /r"))
            var client = span
            client.kind = .client
            let object = try Self.json(client, .zipkinV2JSON, profile).object
            #expect(object["name"] as? String == (profile == .envoy ? "router reviews egress" : "GET"))
            #expect((object["remoteEndpoint"] as? [String: Any])?["serviceName"] as? String == "reviews")
        }
        let tags = try Self.json(span, .zipkinV2JSON, .otel).object["tags"] as? [String: String]
        #expect(tags?["server.address"] == "shop.example" && tags?["server.port"] == "8080")
        #expect(tags?["network.protocol.version"] == "1.1")
    }

    @Test("Long text is cut between characters, and the texts behind it stay whole")
    func cut() {
        let long = Array(String(repeating: "é", count: 100).utf8)
        var span = SpanRecord()
        span.set(path: [0x2F] + long, host: long, requestID: Array("id".utf8))
        #expect(span.texts.path.count == 191 && span.texts.host.count == 64)
        #expect(array(span.texts.requestID) == Array("id".utf8) && span.texts.userAgent.isEmpty)
        #expect(MemoryLayout<SpanRecord>.size <= 640)
    }

    @Test("The texts of TLS get the room the others leave, and none of it is missed by a copy")
    func securityTexts() {
        let long = [UInt8](repeating: 0x61, count: 300)
        var span = SpanRecord()
        span.set(path: [0x2F], host: Array("a.test".utf8), requestID: Array("id".utf8))
        span.texts.setTLS(serverName: Array("a.test".utf8).span, certificateName: Array("CN=caller".utf8).span)
        #expect(array(span.texts.serverName) == Array("a.test".utf8))
        #expect(array(span.texts.certificateName) == Array("CN=caller".utf8))
        #expect(span.texts.count == 24)
        span.texts.set(
            method: long.span, path: long.span, host: long.span, requestID: long.span, userAgent: long.span)
        span.texts.setTLS(serverName: long.span, certificateName: long.span)
        #expect(span.texts.count == 432 && span.texts.serverName.isEmpty && span.texts.userAgent.count == 96)
        span.set(path: [0x2F])
        span.texts.setTLS(serverName: long.span, certificateName: long.span)
        #expect(span.texts.serverName.count == 64 && span.texts.certificateName.count == 128)
    }

    private func tags(of span: SpanRecord, _ profile: TagProfile) throws -> [String: String] {
        try #require(Self.json(span, .zipkinV2JSON, profile).object["tags"] as? [String: String])
    }

    @Test("A caller's TLS shows in its SERVER span: scheme, version, resumption, the name it asked for and its own")
    func security() throws {
        var span = Self.record()
        span.set(path: [0x2F], host: Array("a.test".utf8))
        span.texts.setTLS(serverName: Array("a.test".utf8).span, certificateName: Array("CN=caller".utf8).span)
        span.security = .tls13Resumed
        let tags = try tags(of: span, .otel)
        #expect(tags["url.scheme"] == "https" && tags["tls.protocol.name"] == "tls")
        #expect(tags["tls.protocol.version"] == "1.3" && tags["tls.resumed"] == "true")
        #expect(tags["tls.client.server_name"] == "a.test" && tags["tls.client.subject"] == "CN=caller")
        span.kind = .client
        span.security = .tls12
        let clientTags = try self.tags(of: span, .envoy)
        #expect(clientTags["http.url"] == "https://a.test/" && clientTags["tls.protocol.version"] == "1.2")
        #expect(clientTags["tls.resumed"] == "false" && clientTags["tls.client.subject"] == nil)
        span.security = .plain
        #expect(try !self.tags(of: span, .zipkin).keys.contains { $0.hasPrefix("tls.") })
    }

    @Test("A record with an attempt is a SERVER span and its CLIENT child, and stays what it was")
    func attempt() throws {
        var span = Self.record()
        span.upstream = 1
        span.attempt.spanID = SpanID(7)
        span.attempt.parentID = span.spanID
        span.attempt.status = 503
        span.attempt.peer = Self.endpoint("203.0.113.9", 9080)
        span.hasAttempt = true
        let server = try Self.json(span).text
        span.swapAttempt()
        let client = try Self.json(span).object
        #expect(client["kind"] as? String == "CLIENT" && client["id"] as? String == "0000000000000007")
        #expect(client["parentId"] as? String == "e457b5a2e4d86bd1")
        #expect((client["remoteEndpoint"] as? [String: Any])?["ipv4"] as? String == "203.0.113.9")
        #expect((client["tags"] as? [String: String])?["error"] == "503")
        span.swapAttempt()
        #expect(try Self.json(span).text == server)
    }

    @Test(
        "Addresses are written as they are read",
        arguments: [
            "0.0.0.1", "10.20.30.40", "127.0.0.1", "255.100.99.9", "2001:db8::1", "1:203:405:607:809:a0b:c0d:e0f",
        ])
    func addresses(text: String) {
        var out = ByteWriter()
        let endpoint = Self.endpoint(text, 1)
        out.append(ipText: endpoint)
        #expect(String(decoding: array(out.span), as: UTF8.self) == text)
        out.truncate(to: 0)
        out.append(ipBytes: endpoint)
        let again = EndpointAddress(SocketAddress(ip: out.span, port: 1))
        for index in 0..<16 { #expect(again.ip[index] == endpoint.ip[index]) }
        #expect(out.count == Int(endpoint.byteCount))
    }

    @Test("Every byte of text of every length is either plain in JSON or escaped")
    func everyByte() throws {
        for byte in UInt8(0)...127 {
            for length in 1...17 {
                let text = [UInt8](repeating: 0x61, count: length - 1) + [byte]
                var out = ByteWriter()
                out.append("[\"")
                out.append(jsonText: text.span)
                out.append("\"]")
                let read = try JSONSerialization.jsonObject(with: Data(array(out.span))) as? [String]
                #expect(read == [String(decoding: text, as: UTF8.self)])
            }
        }
    }

    @Test("A tag in one step is what it is in pieces, short or long, ASCII or not", arguments: 0...140)
    func everyEntry(count: Int) {
        let plain = [UInt8](repeating: 0x61, count: count)
        for text in [plain, plain + [0xC3, 0xA9]] {
            var quick = ByteWriter()
            var ready = ByteWriter()
            var slow = ByteWriter()
            var format = ZipkinV2Proto(Self.names)
            format.tag("key", text.span, into: &quick)
            format.tag("key", ready: text.span, into: &ready)
            Self.appendEntry(text, to: &slow)
            #expect(array(quick.span) == array(slow.span))
            #expect(array(ready.span) == array(slow.span))
        }
    }

    @Test(
        "A number in a tag has its digits, and one in a varint its bytes",
        arguments: [
            0, 9, 10, 127, 128, 16_383, 16_384, 99_999_999, 100_000_000, 2_097_151, 2_097_152, UInt64.max,
        ])
    func everyNumber(number: UInt64) {
        var quick = ByteWriter()
        var slow = ByteWriter()
        var varint = ByteWriter()
        var format = ZipkinV2Proto(Self.names)
        format.tag("key", number: number, into: &quick)
        Self.appendEntry(Array(String(number).utf8), to: &slow)
        #expect(array(quick.span) == array(slow.span))
        varint.append(varint: number)
        var (bytes, rest): ([UInt8], UInt64) = ([], number)
        while rest > 0x7F {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        #expect(array(varint.span) == bytes + [UInt8(rest)])
    }

    private static func appendEntry(_ text: [UInt8], to out: inout ByteWriter) {
        out.append(protoTag: 11, .bytes)
        let start = out.count
        out.append(protoField: 1, key: "key")
        out.append(protoField: 2, text: text.span)
        out.insertLength(at: start)
    }

    @Test("Text of every length is UTF-8 in protocol buffers, with its length before it", arguments: 0...200)
    func everyLength(count: Int) {
        for byte: UInt8 in [0x00, 0x61, 0x7F, 0x80, 0xFF] {
            let text = [UInt8](repeating: 0x61, count: max(0, count - 1)) + (count > 0 ? [byte] : [])
            var out = ByteWriter()
            var expected = ByteWriter()
            out.append(protoField: 2, text: text.span)
            let utf8 = Array(String(decoding: text, as: UTF8.self).utf8)
            expected.append(protoField: 2, ready: utf8.span)
            #expect(array(out.span) == array(expected.span))
        }
    }
}

extension SpanRecord {
    mutating func set(path: [UInt8] = [], host: [UInt8] = [], requestID: [UInt8] = []) {
        let none: [UInt8] = []
        texts.set(
            method: none.span, path: path.span, host: host.span, requestID: requestID.span, userAgent: none.span)
    }
}
