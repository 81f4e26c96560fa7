// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import SpanEmitter
import Testing

@testable import PropagatingProxy

private func hash(
    _ source: Configuration.HashSource, _ lines: String = "", peer: String = "10.0.0.1", port: UInt16 = 1
) throws -> UInt64 {
    let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n".utf8)
    var fields = FieldTable()
    let progress = try parseRequestHead(bytes.span, alreadySeen: 0, limits: HeadLimits(), fields: &fields)
    guard case .complete = progress else { throw SyntaxError.headTooLarge }
    let address = SocketAddress(literal: peer, port: port) ?? SocketAddress()
    return StickyKey(source).hash(bytes.span, fields: fields, peer: EndpointAddress(address))
}

@Suite("What ties a request to an endpoint")
struct StickyKeyTests {
    private let header = Configuration.HashSource.header(Array("x-user".utf8))
    private let cookie = Configuration.HashSource.cookie(Array("id".utf8))

    @Test("A header counts by its value, whatever the case of its name; the first of several")
    func headers() throws {
        let value = try hash(header, "X-User: ann\r\n")
        #expect(value != 0)
        #expect(try hash(header, "x-uSER:   ann  \r\nX-User: bob\r\n") == value)
        #expect(try hash(header, "X-User: bob\r\n") != value)
        #expect(try hash(header, "X-User: Ann\r\n") != value)
    }

    @Test("A cookie counts by its value, wherever it stands")
    func cookies() throws {
        let value = try hash(cookie, "Cookie: id=7\r\n")
        #expect(value != 0)
        for line in [
            "Cookie: a=b; id=7\r\n", "Cookie: id=7; id=8\r\n", "Cookie: a=b;id=7;c\r\n",
            "Cookie: a\r\nCookie: id=7\r\n",
            "Cookie: xid=1; id=7\r\n", "Cookie: idx=1;;; id=7;\r\n",
        ] { #expect(try hash(cookie, line) == value, "\(line)") }
        #expect(try hash(cookie, "Cookie: id=8\r\n") != value)
        #expect(try hash(cookie, "Cookie: ID=7\r\n") == 0)
    }

    @Test("A request without the value, or with an empty one, is tied to nothing")
    func absent() throws {
        for line in ["", "X-Use: a\r\n", "X-User:\r\n"] { #expect(try hash(header, line) == 0) }
        for line in ["", "Cookie: id\r\n", "Cookie: id=\r\n", "Cookie: ;\r\n", "Cookie:\r\n"] {
            #expect(try hash(cookie, line) == 0)
        }
    }

    @Test("A source counts by its address, not by its port; a unix socket is tied to nothing")
    func sources() throws {
        let value = try hash(.source, peer: "10.0.0.1")
        #expect(value != 0)
        #expect(try hash(.source, peer: "10.0.0.1", port: 9) == value)
        #expect(try hash(.source, peer: "10.0.0.2") != value)
        #expect(try hash(.source, peer: "::1") != 0)
        #expect(try hash(.source, peer: "none") == 0)
    }
}
