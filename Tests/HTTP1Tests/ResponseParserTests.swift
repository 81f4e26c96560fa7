// SPDX-License-Identifier: Apache-2.0

import CMallocCount
import HTTP1
import TestSupport
import Testing

@Suite("Response heads (RFC 9112 §§4–6)")
struct ResponseParserTests {
    @Test(
        "A malformed response is refused, not guessed at",
        arguments: [
            ("HTTP/2.0 200 OK\r\n", SyntaxError.unsupportedVersion), ("ICY 200 OK\r\n", .invalidStatusLine),
            ("HTTP/1.1x200 OK\r\n", .invalidStatusLine), ("HTTP/1.1 20 OK\r\n", .invalidStatusLine),
            ("HTTP/1.1 2000 OK\r\n", .invalidStatusLine), ("HTTP/1.1 099 OK\r\n", .invalidStatusLine),
            ("HTTP/1.1  200 OK\r\n", .invalidStatusLine), ("HTTP/1.1 200 O\0K\r\n", .invalidStatusLine),
            ("HTTP/1.1 200 OK\n", .invalidLineEnd), ("\r\nHTTP/1.1 200 OK\r\n", .invalidStatusLine),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n", .invalidContentLength),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", .conflictingLength),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .transferEncodingInOldVersion),
            ("HTTP/1.1 103 Hints\r\nContent-Length: 0\r\n\r\n", .lengthInInterimResponse),
        ])
    func refuses(_ head: String, _ error: SyntaxError) {
        #expect(responseRefusal(head) == error)
    }

    @Test(
        "Status, method and fields decide the framing",
        arguments: [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", HTTP1.Method.get, BodyFraming.length(5), true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n", .get, .chunked, true),
            ("HTTP/1.1 200 OK\r\n", .get, .untilClose, false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n", .get, .length(5), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n", .get, .length(5), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n", .get, .length(5), false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", .head, .none, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", .head, .none, true),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n", .get, .none, true),
            ("HTTP/1.1 204 No Content\r\n", .get, .none, true),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n", .get, .none, false),
            ("HTTP/1.1 100 Continue\r\n", .post, .none, true), ("HTTP/1.1 777 Odd\r\n", .get, .untilClose, false),
        ])
    func framing(_ lines: String, _ method: HTTP1.Method, _ framing: BodyFraming, _ keepAlive: Bool) throws {
        var fields = FieldTable()
        let head = try #require(try response(bytes(lines + "\r\n"), &fields, to: method))
        #expect(head.framing == framing)
        #expect(head.keepAlive == keepAlive)
    }

    @Test(
        "A head passes unchanged only if every byte of it may",
        arguments: [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n", false),
            ("HTTP/1.1 200 \r\nContent-Length: 5\r\n", false), ("HTTP/1.1 200\r\nContent-Length: 5\r\n", true),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 05\r\n", true),
            ("HTTP/1.1 200 OK\r\nConnection: X-A\r\nX-A: b\r\n", true),
            ("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=9\r\n", true),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n", true),
            ("HTTP/1.1 200 OK\r\nHost: a\r\nHost: b\r\n", false),
        ])
    func needsRewrite(_ lines: String, _ expected: Bool) throws {
        var fields = FieldTable()
        let head = try #require(try response(bytes(lines + "\r\n"), &fields))
        #expect(head.needsRewrite == expected)
    }

    @Test("Nominated and hop-by-hop fields of a response go no further")
    func hopByHop() throws {
        let received = bytes(
            "HTTP/1.1 200 OK\r\nConnection: X-Foo\r\nX-Foo: 1\r\nKeep-Alive: timeout=9\r\nContent-Length: 5\r\n\r\n")
        var fields = FieldTable()
        let head = try #require(try response(received, &fields))
        #expect(forwardedNames(received, fields) == ["Content-Length"])
        #expect(head.status == 200)
        #expect(text(received, head.statusLine) == "HTTP/1.1 200 OK\r\n")
        #expect(text(received, head.reason) == "OK")
        #expect(head.declaredLength == 5)
    }

    @Test("Only a 101 that says which protocol opens a tunnel")
    func switchesProtocols() throws {
        var fields = FieldTable()
        let received = bytes("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n\u{81}")
        let head = try #require(try response(received, &fields))
        let isGranted = UpgradeToken.matches(bytes("websocket").span, received.span.extracting(head.upgrade.range))
        #expect(isGranted)
        #expect(Int(head.length) == received.count - 1)
        let bare = try #require(try response(bytes("HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n"), &fields))
        #expect(bare.upgrade.isEmpty)
        let final = try #require(
            try response(bytes("HTTP/1.1 200 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"), &fields))
        #expect(final.upgrade.isEmpty)
    }

    @Test(
        "A head that arrives byte by byte is judged like one that arrives whole", arguments: ConformanceCase.responses)
    func byteByByte(_ row: ConformanceCase) {
        guard !row.raw.isEmpty else { return }
        var fields = FieldTable()
        let whole = Result { () throws(SyntaxError) in try response(row.raw, &fields) }
        let bytewise = Result { () throws(SyntaxError) -> ResponseHead? in
            for count in 1...row.raw.count {
                let progress = try parseResponseHead(
                    row.raw.span.extracting(first: count), alreadySeen: count - 1, requestMethod: .get,
                    limits: defaultLimits, fields: &fields)
                if case .complete(let head) = progress { return head }
            }
            return nil
        }
        switch (whole, bytewise) {
        case (.success(let left), .success(let right)): #expect(left == right)
        case (.failure, .failure): break
        default: Issue.record("whole \(whole), byte by byte \(bytewise)")
        }
    }

    @Test("Parsing allocates nothing", .enabled(if: isOptimized))
    func allocates() throws {
        let received = bytes("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\nServer: a\r\n\r\n")
        var fields = FieldTable()
        _ = try response(received, &fields)  // warm up lazy globals
        let before = malloc_count()
        for _ in 0..<1000 {
            _ = try parseResponseHead(
                received.span, alreadySeen: 0, requestMethod: .get, limits: defaultLimits, fields: &fields)
        }
        #expect(malloc_count() - before == 0)
    }
}
