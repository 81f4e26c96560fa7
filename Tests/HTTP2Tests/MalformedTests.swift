// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Testing

@testable import HTTP2

/// A request that must not reach an exchange.
struct Malformed: CustomTestStringConvertible {
    let testDescription: String
    let frames: [Frame]

    init(_ name: String, _ fields: [(String, String)]) {
        testDescription = name
        frames = [Frame(.headers, flags: 5, stream: 1, Frame.block(fields))]
    }

    private static let method = (":method", "GET")
    private static let scheme = (":scheme", "http")
    private static let path = (":path", "/")
    private static let authority = (":authority", "a.test")
    private static let good = [method, scheme, path, authority]

    static let all: [Malformed] = [
        Malformed("upper-case name", good + [("X-Upper", "1")]),
        Malformed("connection", good + [("connection", "x")]),
        Malformed("keep-alive", good + [("keep-alive", "x")]),
        Malformed("proxy-connection", good + [("proxy-connection", "x")]),
        Malformed("transfer-encoding", good + [("transfer-encoding", "chunked")]),
        Malformed("upgrade", good + [("upgrade", "h2c")]),
        Malformed("te other than trailers", good + [("te", "gzip")]),
        Malformed("no path", [method, scheme, authority]),
        Malformed("no method", [scheme, path, authority]),
        Malformed("no scheme", [method, path, authority]),
        Malformed("neither authority nor host", [method, scheme, path]),
        Malformed("two methods", [method] + good),
        Malformed("two paths", good + [(":path", "/evil")]),
        Malformed("two hosts", [method, scheme, path, ("host", "a"), ("host", "b")]),
        Malformed("pseudo-field behind a field", [method, scheme, path, ("x-a", "1"), authority]),
        Malformed("unknown pseudo-field", good + [(":foo", "1")]),
        Malformed("status of a request", good + [(":status", "200")]),
        Malformed("empty path", [method, scheme, (":path", ""), authority]),
        Malformed("relative path", [method, scheme, (":path", "x/y"), authority]),
        Malformed("absolute form in the path", [method, scheme, (":path", "http://evil.test/"), authority]),
        Malformed("* without OPTIONS", [method, scheme, (":path", "*"), authority]),
        Malformed(
            "a request line in the path", [method, scheme, (":path", "/ HTTP/1.1\r\nhost: e\r\n\r\nGET /"), authority]),
        Malformed("blank in the path", [method, scheme, (":path", "/a b"), authority]),
        Malformed("control character in the path", [method, scheme, (":path", "/a\u{1}"), authority]),
        Malformed("CRLF in the method", [(":method", "GET / HTTP/1.1\r\nx: "), scheme, path, authority]),
        Malformed("blank in the method", [(":method", "GET /evil"), scheme, path, authority]),
        Malformed("CRLF in the scheme", [method, (":scheme", "http\r\nx: y"), path, authority]),
        Malformed("CRLF in the authority", [method, scheme, path, (":authority", "a\r\nx: y")]),
        Malformed("blank in the authority", [method, scheme, path, (":authority", "a /x")]),
        Malformed("slash in the authority", [method, scheme, path, (":authority", "a/x")]),
        Malformed("user in the authority", [method, scheme, path, (":authority", "u@a")]),
        Malformed("another host than the authority", good + [("host", "evil.test")]),
        Malformed("CRLF in a value", good + [("x-a", "b\r\nx-evil: 1")]),
        Malformed("LF in a value", good + [("x-a", "b\nx-evil: 1")]),
        Malformed("CR in a value", good + [("x-a", "b\rc")]),
        Malformed("NUL in a value", good + [("x-a", "b\0c")]),
        Malformed("CRLF in a name", good + [("x-a: b\r\nx-evil", "1")]),
        Malformed("colon in a name", good + [("x:", "1")]),
        Malformed("blank in a name", good + [("x a", "1")]),
        Malformed("empty name", good + [("", "1")]),
        Malformed("two lengths", good + [("content-length", "5"), ("content-length", "6")]),
        Malformed("signed length", good + [("content-length", "+5")]),
        Malformed("a length and no body", good + [("content-length", "5")]),
        Malformed("CONNECT", [(":method", "CONNECT"), (":authority", "a.test:443")]),
        Malformed(
            "extended CONNECT", [(":method", "CONNECT"), (":protocol", "websocket"), scheme, path, authority]),
    ]
}

@Suite("Malformed requests (RFC 9113 §8.1.1)")
struct MalformedTests {
    @Test("A malformed request resets its stream, reaches nobody, and the next one is served", arguments: Malformed.all)
    func refused(_ request: Malformed) throws {
        let peer = try RawPeer()
        for frame in request.frames { peer.send(frame) }
        #expect(peer.arrived.isEmpty)
        #expect(peer.reset(of: 1) == .protocolError)
        #expect(!peer.isOver && peer.session.streamCount == 0 && peer.pool.inUse == 0)
        peer.send(Frame.request(3))
        #expect(peer.arrived.first?.readAll(peer.pool).text == "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n")
    }

    @Test("The host that repeats the authority, in any case, is one line; host alone is as good")
    func host() throws {
        let peer = try RawPeer()
        peer.send(Frame.request(1, [("host", "A.Test")]))
        let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("x-a", "b"), ("host", "c.test")]
        peer.send(Frame(.headers, flags: 5, stream: 3, Frame.block(fields)))
        try #require(peer.arrived.count == 2)
        #expect(peer.arrived[0].readAll(peer.pool).text == "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n")
        #expect(peer.arrived[1].readAll(peer.pool).text == "GET / HTTP/1.1\r\nx-a: b\r\nhost: c.test\r\n\r\n")
    }

    @Test("Pseudo-fields may come in any order, and OPTIONS may ask for everything")
    func order() throws {
        let peer = try RawPeer()
        let fields = [(":authority", "a"), (":path", "*"), (":scheme", "https"), (":method", "OPTIONS")]
        peer.send(Frame(.headers, flags: 5, stream: 1, Frame.block(fields)))
        #expect(peer.arrived.first?.readAll(peer.pool).text == "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n")
    }

    @Test("A body shorter than it said fails, and does not end")
    func shortBody() throws {
        let peer = try RawPeer()
        peer.send(Frame.request(1, [("content-length", "10")], method: "POST", flags: 4))
        peer.send(Frame(.data, flags: 1, stream: 1, Array("hello".utf8)))
        let stream = try #require(peer.arrived.first)
        #expect(stream.failure != 0 && !stream.readAll(peer.pool).isEnded)
        #expect(peer.reset(of: 1) == .protocolError)
    }

    @Test("A stream that was passed over is never opened: the connection ends (RFC 9113 §5.1.1)")
    func backwards() throws {
        let peer = try RawPeer()
        peer.send(Frame.request(5))
        #expect(!peer.isOver)
        peer.send(Frame.request(3))
        #expect(peer.goAway == .protocolError)
    }

    @Test("Trailers of a stream we have reset are no reason to end the connection")
    func lateTrailers() throws {
        let peer = try RawPeer()
        peer.send(Frame.request(1, method: "POST", flags: 4))
        peer.arrived.first?.reset(.cancel)
        peer.read()
        peer.send(Frame(.headers, flags: 5, stream: 1, Frame.block([("x", "y")])))
        peer.send(Frame.request(3))
        #expect(!peer.isOver && peer.arrived.count == 2)
    }

    @Test("A priority on itself ends the connection")
    func ownPriority() throws {
        let peer = try RawPeer()
        peer.send(Frame(.priority, stream: 1, [0, 0, 0, 1, 16]))
        #expect(peer.goAway == .protocolError)
    }

    @Test("Any bytes behind a preface: no crash, and no memory left over", arguments: 0..<300 as Range<UInt64>)
    func garbage(_ seed: UInt64) throws {
        var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
        func next() -> UInt8 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return UInt8(truncatingIfNeeded: state >> 24)
        }
        let peer = try RawPeer()
        for _ in 0..<20 {
            let payload = (0..<Int(next() & 63)).map { _ in next() }
            let kind = Frame.Kind(rawValue: next() % 10) ?? .data
            let isHead = kind == .headers
            peer.send(
                isHead && next() & 3 > 0
                    ? Frame.request(UInt32(next() & 15), flags: next() & 5 | 4)
                    : Frame(kind, flags: next() & 0x2d, stream: UInt32(next() & 15), payload))
            for stream in peer.arrived where stream.hasSession {
                _ = stream.readAll(peer.pool)
                if next() & 7 == 0 { _ = stream.send(text: ok + "body") }
                if next() & 15 == 0 { stream.close(isCut: next() & 1 == 0) }
            }
            peer.read()
        }
        peer.session.connectionLost()
        for stream in peer.arrived where stream.hasSession { stream.close(isCut: true) }
        #expect(peer.session.streamCount == 0)
    }
}
