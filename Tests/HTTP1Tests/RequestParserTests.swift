// SPDX-License-Identifier: Apache-2.0

import CMallocCount
import HTTP1
import TestSupport
import Testing

@Suite("Request heads (RFC 9112 §§2–6)")
struct RequestParserTests {
    struct Refusal: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var head: String
        var error: SyntaxError

        init(_ testDescription: String, _ head: String, _ error: SyntaxError) {
            self.testDescription = testDescription
            self.head = head
            self.error = error
        }
    }

    @Test(
        "A malformed request is refused with the status an operator expects",
        arguments: [
            Refusal("three empty lines", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .tooManyEmptyLines),
            Refusal("TLS hello", "\u{16}\u{3}\u{1}", .invalidMethod),
            Refusal("blank first", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", .invalidMethod),
            Refusal("CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", .connectRefused),
            Refusal("TRACE", "TRACE /a HTTP/1.1\r\nHost: a\r\n\r\n", .traceRefused),
            Refusal("HTTP/0.9", "GET /c\r\n", .missingVersion),
            Refusal("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n", .unsupportedVersion),
            Refusal("HTTP/1.2", "GET / HTTP/1.2\r\n", .unsupportedVersion),
            Refusal("lower-case version", "GET / http/1.1\r\n", .invalidVersion),
            Refusal("no Host", "GET / HTTP/1.1\r\n\r\n", .missingHost),
            Refusal("two Hosts in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", .duplicateHost),
            Refusal("foreign Host", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", .hostMismatch),
            Refusal("folded field", "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", .foldedField),
            Refusal("blank before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", .blankBeforeColon),
            Refusal("nameless field", "GET / HTTP/1.1\r\n: a\r\n", .invalidFieldName),
            Refusal("NUL in value", "GET / HTTP/1.1\r\nA: a\0b\r\n", .invalidFieldValue),
            Refusal("bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n", .invalidLineEnd),
            Refusal("bare CR in value", "GET / HTTP/1.1\r\nA: a\rb\r\n", .invalidLineEnd),
            Refusal(
                "two lengths", "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n", .duplicateContentLength),
            Refusal(
                "length and chunked",
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                .conflictingLength),
            Refusal(
                "a length of 2^63", "GET / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n", .invalidContentLength),
            Refusal("20 digits", "GET / HTTP/1.1\r\nContent-Length: 00000000000000000001\r\n", .invalidContentLength),
            Refusal("gzip", "GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n", .unsupportedTransferCoding),
            Refusal(
                "chunked twice", "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                .duplicateTransferEncoding),
            Refusal(
                "chunked in 1.0", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .transferEncodingInOldVersion),
            Refusal("Expect", "GET / HTTP/1.1\r\nExpect: 200-maybe\r\n", .unsupportedExpectation),
            Refusal(
                "WebSocket handshake with a body",
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n",
                .upgradeWithBody),
            Refusal(
                "65 connection options",
                "GET / HTTP/1.1\r\nConnection: " + String(repeating: "a,", count: 65) + "\r\n",
                .tooManyConnectionOptions),
        ])
    func refuses(_ refused: Refusal) {
        #expect(refusal(refused.head) == refused.error)
    }

    @Test("Statuses follow the rule that was broken")
    func statuses() {
        #expect(SyntaxError.invalidHost.status == 400)
        #expect(SyntaxError.traceRefused.status == 405)
        #expect(SyntaxError.connectRefused.status == 405)
        #expect(SyntaxError.targetTooLong.status == 414)
        #expect(SyntaxError.unsupportedExpectation.status == 417)
        #expect(SyntaxError.headTooLarge.status == 431)
        #expect(SyntaxError.unsupportedTransferCoding.status == 501)
        #expect(SyntaxError.unsupportedVersion.status == 505)
    }

    @Test("A head that arrives byte by byte is judged like one that arrives whole", arguments: ConformanceCase.requests)
    func byteByByte(_ row: ConformanceCase) {
        var fields = FieldTable()
        let whole = Result { () throws(SyntaxError) in try request(row.raw, &fields) }
        let bytewise = Result { () throws(SyntaxError) -> RequestHead? in
            for count in 1...row.raw.count {
                let progress = try parseRequestHead(
                    row.raw.span.extracting(first: count), alreadySeen: count - 1, limits: defaultLimits,
                    fields: &fields)
                if case .complete(let head) = progress {
                    #expect(count == head.length)
                    return head
                }
            }
            return nil
        }
        switch (whole, bytewise) {
        case (.success(let left), .success(let right)): #expect(left == right)
        case (.failure, .failure): break
        default: Issue.record("whole \(whole), byte by byte \(bytewise)")
        }
    }

    @Test("Garbage is refused with its first bytes, before a head could end")
    func refusesEarly() {
        #expect(refusal("\u{16}") == .invalidMethod)
        #expect(refusal(" ") == .invalidMethod)
        #expect(refusal("\n") == .invalidMethod)
        #expect(refusal("GET /a\"") == .invalidTarget)
        #expect(refusal(String(repeating: "A", count: 33)) == .methodTooLong)
        #expect(refusal("GET /" + String(repeating: "a", count: 16_384)) == .targetTooLong)
        #expect(refusal("GET / HTTP/1.1\r\nHost: a b\r\n") == .invalidHost)
    }

    @Test("A first line that grows too long is refused however it is cut")
    func longLineInPieces() {
        let endless = bytes("GET /" + String(repeating: "a", count: 20_000))
        var fields = FieldTable()
        var error: SyntaxError?
        var seen = 0
        while error == nil, seen < endless.count {
            let count = min(endless.count, seen + 7)
            do {
                _ = try parseRequestHead(
                    endless.span.extracting(first: count), alreadySeen: seen, limits: defaultLimits, fields: &fields)
            } catch let thrown {
                error = thrown
            }
            seen = count
        }
        #expect(error == .targetTooLong)
    }

    @Test("Limits hold to the byte and to the field")
    func limits() {
        let line = "GET / HTTP/1.1\r\nHost: a\r\n"
        let room = defaultLimits.headBytes - line.utf8.count - "A: \r\n\r\n".utf8.count
        #expect(refusal(line + "A: " + String(repeating: "v", count: room) + "\r\n\r\n") == nil)
        #expect(refusal(line + "A: " + String(repeating: "v", count: room + 1) + "\r\n\r\n") == .headTooLarge)
        #expect(refusal(line + "A: " + String(repeating: "v", count: room + 99)) == .headTooLarge)
        #expect(refusal(line + String(repeating: "A: b\r\n", count: 99) + "\r\n") == nil)
        #expect(refusal(line + String(repeating: "A: b\r\n", count: 100)) == .tooManyFields)
        #expect(refusal(line + "A: b\r\n", limits: HeadLimits(fieldCount: 1)) == .tooManyFields)
        #expect(refusal("GET /" + String(repeating: "a", count: 16_383) + " HTTP/1.1\r\nHost: a\r\n\r\n") == nil)
    }

    @Test("Bytes of the next request are left alone")
    func pipelined() throws {
        let received = bytes("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\n")
        var fields = FieldTable()
        let head = try #require(try request(received, &fields))
        #expect(head.length == 28)
        #expect(fields.count == 1)
    }

    @Test("Parsing allocates nothing", .enabled(if: isOptimized))
    func allocates() throws {
        let received = bytes(
            "GET /reviews/0?x=1 HTTP/1.1\r\nHost: reviews:9080\r\nConnection: X-A, close\r\nX-A: b\r\n"
                + "X-B3-TraceId: 463ac35c9f6413ad48485a3953bb6124\r\nAccept: */*\r\n\r\n")
        var fields = FieldTable()
        _ = try request(received, &fields)  // warm up lazy globals
        let before = malloc_count()
        for _ in 0..<1000 {
            _ = try parseRequestHead(received.span, alreadySeen: 0, limits: defaultLimits, fields: &fields)
        }
        #expect(malloc_count() - before == 0)
    }
}
