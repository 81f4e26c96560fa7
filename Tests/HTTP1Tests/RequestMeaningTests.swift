// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Testing

@Suite("What a request head means (RFC 9110 §§7–10, RFC 9112 §§3, 9)")
struct RequestMeaningTests {
    @Test("Names, values and lines are ranges into the received bytes")
    func ranges() throws {
        let received = bytes("\r\nGET /reviews/0?a=b HTTP/1.1\r\nHost: reviews:9080\r\nB3: \t 0 \t\r\nEmpty:\r\n\r\n")
        var fields = FieldTable()
        let head = try #require(try request(received, &fields))
        #expect(Int(head.length) == received.count)
        #expect(head.method == .get)
        #expect(text(received, head.methodText) == "GET")
        #expect(text(received, head.target) == "/reviews/0?a=b")
        #expect(text(received, head.path) == "/reviews/0?a=b")
        #expect(head.pathCount == 10)
        #expect(text(received, head.authority) == "reviews:9080")
        #expect(fields.count == 3)
        #expect(fields[0].kind == .host)
        #expect(fields[1].kind == .b3)
        #expect(text(received, fields[1].name) == "B3")
        #expect(text(received, fields[1].value) == "0")
        #expect(text(received, fields[1].line) == "B3: \t 0 \t\r\n")
        #expect(fields[2].value.isEmpty)
    }

    @Test("A path ends where its query begins, however long it is", arguments: 0..<20)
    func queries(_ count: Int) throws {
        let path = "/" + String(repeating: "a", count: count)
        for query in ["", "?", "?b=/%41", "?b?c"] {
            let received = bytes("GET \(path)\(query) HTTP/1.1\r\nHost: a\r\n\r\n")
            var fields = FieldTable()
            let head = try #require(try request(received, &fields))
            #expect(text(received, head.path) == path + query)
            #expect(Int(head.pathCount) == path.count)
        }
    }

    struct Target: Sendable {
        var line: String
        var path: String
        var pathCount: Int
        var authority: String
    }

    @Test(
        "Every form of target gives the path and the authority to use",
        arguments: [
            Target(line: "GET /c?x?y HTTP/1.1", path: "/c?x?y", pathCount: 2, authority: "a.test"),
            Target(line: "OPTIONS * HTTP/1.1", path: "*", pathCount: 1, authority: "a.test"),
            Target(line: "GET http://A.test/c HTTP/1.1", path: "/c", pathCount: 2, authority: "A.test"),
            Target(line: "GET HTTP://a.test HTTP/1.1", path: "", pathCount: 0, authority: "a.test"),
            Target(line: "GET http://a.test?x HTTP/1.1", path: "?x", pathCount: 0, authority: "a.test"),
            Target(line: "get /%2e/[1] HTTP/1.1", path: "/%2e/[1]", pathCount: 8, authority: "a.test"),
        ])
    func targets(_ target: Target) throws {
        let received = bytes(target.line + "\r\nHost: a.test\r\n\r\n")
        var fields = FieldTable()
        let head = try #require(try request(received, &fields))
        #expect(text(received, head.path) == target.path)
        #expect(Int(head.pathCount) == target.pathCount)
        #expect(text(received, head.authority) == target.authority)
    }

    @Test("A target in absolute form may say https to a listener that speaks TLS, and to no other")
    func secureTargets() throws {
        let received = bytes("GET https://a.test/c HTTP/1.1\r\nHost: a.test\r\n\r\n")
        var fields = FieldTable()
        #expect(throws: SyntaxError.invalidTarget) { try request(received, &fields) }
        var limits = defaultLimits
        limits.takesHTTPS = true
        let head = try #require(try request(received, &fields, limits: limits))
        #expect(text(received, head.path) == "/c" && text(received, head.authority) == "a.test")
        for target in ["https://", "https:/a.test", "httpss://a.test/", "ftp://a.test/"] {
            let other = bytes("GET \(target) HTTP/1.1\r\nHost: a.test\r\n\r\n")
            #expect(throws: SyntaxError.invalidTarget) { try request(other, &fields, limits: limits) }
        }
    }

    @Test("HTTP/1.0 may come without Host")
    func oldWithoutHost() throws {
        var fields = FieldTable()
        let head = try #require(try request(bytes("GET / HTTP/1.0\r\n\r\n"), &fields))
        #expect(head.authority.isEmpty)
        #expect(head.minorVersion == 0)
    }

    @Test(
        "Connection and version decide whether the connection lasts",
        arguments: [
            ("HTTP/1.1\r\n", true), ("HTTP/1.1\r\nConnection: close\r\n", false),
            ("HTTP/1.1\r\nConnection: foo, ClOsE\r\n", false),
            ("HTTP/1.1\r\nConnection: keep-alive\r\nConnection: close\r\n", false), ("HTTP/1.0\r\n", false),
            ("HTTP/1.0\r\nConnection: Keep-Alive\r\n", true), ("HTTP/1.0\r\nConnection: keep-alive, close\r\n", false),
        ])
    func keepAlive(_ rest: String, _ expected: Bool) throws {
        var fields = FieldTable()
        let head = try #require(try request(bytes("GET / \(rest)Host: a\r\n\r\n"), &fields))
        #expect(head.keepAlive == expected)
    }

    @Test("Hop-by-hop and nominated fields go no further, wherever Connection stands")
    func hopByHop() throws {
        let received = bytes(
            "GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nConnection: x-one, , (bad),\tX-TWO\r\nX-Two: 2\r\nKeep-Alive: 5\r\n"
                + "Proxy-Connection: x\r\nTE: trailers\r\nTrailer: T\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n"
                + "Expect: 100-continue\r\nX-Three: 3\r\n\r\n")
        var fields = FieldTable()
        _ = try request(received, &fields)
        #expect(forwardedNames(received, fields) == ["Host", "Trailer", "X-Three"])
    }

    @Test("Connection cannot take routing, framing, credentials or the trace away")
    func protectedFields() throws {
        let names = [
            "Host", "Content-Length", "Authorization", "Cookie", "X-Forwarded-For", "X-Forwarded-Proto",
            "X-Forwarded-Host", "X-Request-Id", "X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled",
            "X-B3-Flags", "b3", "traceparent", "tracestate",
        ]
        let lines = names.map { $0 + ": 1\r\n" }.joined()
        let received = bytes("GET / HTTP/1.1\r\nConnection: \(names.joined(separator: ", "))\r\n\(lines)\r\n")
        var fields = FieldTable()
        let head = try #require(try request(received, &fields))
        #expect(forwardedNames(received, fields) == names)
        #expect(head.framing == .length(1))
    }

    static let knownNames: [(String, FieldKind)] = [
        ("Host", .host), ("Content-Length", .contentLength), ("Transfer-Encoding", .transferEncoding),
        ("Expect", .expect), ("Connection", .connection), ("Keep-Alive", .keepAlive),
        ("Proxy-Connection", .proxyConnection), ("TE", .te), ("Trailer", .trailer), ("Upgrade", .upgrade),
        ("Content-Type", .contentType), ("grpc-timeout", .grpcTimeout), ("grpc-status", .grpcStatus),
        ("HTTP2-Settings", .http2Settings), ("Via", .via), ("User-Agent", .userAgent),
        ("Authorization", .authorization), ("Proxy-Authorization", .proxyAuthorization), ("Cookie", .cookie),
        ("Set-Cookie", .setCookie), ("Forwarded", .forwarded), ("X-Forwarded-For", .forwardedFor),
        ("X-Forwarded-Proto", .forwardedProto), ("X-Forwarded-Host", .forwardedHost), ("X-Request-Id", .requestID),
        ("X-Forwarded-Client-Cert", .forwardedClientCertificate),
        ("X-B3-TraceId", .b3TraceID), ("X-B3-SpanId", .b3SpanID), ("X-B3-ParentSpanId", .b3ParentSpanID),
        ("X-B3-Sampled", .b3Sampled), ("X-B3-Flags", .b3Flags), ("b3", .b3), ("traceparent", .traceparent),
        ("tracestate", .tracestate),
    ]

    @Test("A known name is known in any case, and nothing like it is", arguments: knownNames)
    func kinds(_ name: String, _ expected: FieldKind) {
        #expect(kind(name) == expected)
        #expect(kind(name.uppercased()) == expected)
        #expect(kind(name.lowercased()) == expected)
        #expect(kind(name + "a") == .other)
        #expect(kind(String(name.dropLast())) == .other)
        for place in bytes(name).indices {
            var other = bytes(name)
            other[place] = UInt8(ascii: "_")
            #expect(kind(text(other)) == .other)
        }
    }

    @Test("A length with leading zeros is read, and its line is not repeated")
    func leadingZeros() throws {
        let received = bytes("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\n")
        var fields = FieldTable()
        let head = try #require(try request(received, &fields))
        #expect(head.framing == .length(5))
        #expect(head.needsLength)
        #expect(forwardedNames(received, fields) == ["Host"])
    }

    @Test(
        "Only a WebSocket handshake is an upgrade",
        arguments: [
            ("GET / HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n", true),
            ("GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n", true),
            ("GET / HTTP/1.1\r\nUpgrade: websocket\r\n", false),
            ("GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n", false),
            ("GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", false),
            ("POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", false),
        ])
    func upgrade(_ lines: String, _ expected: Bool) throws {
        var fields = FieldTable()
        let head = try #require(try request(bytes(lines + "Host: a\r\n\r\n"), &fields))
        #expect(head.upgrade.isEmpty != expected)
    }

    @Test("A 100 is due only when a 1.1 request announces a body")
    func expectation() throws {
        var fields = FieldTable()
        let lines = "Host: a\r\nExpect: 100-Continue\r\n"
        #expect(
            try request(bytes("PUT / HTTP/1.1\r\n\(lines)Content-Length: 1\r\n\r\n"), &fields)?.expectsContinue == true)
        #expect(
            try request(bytes("PUT / HTTP/1.0\r\n\(lines)Content-Length: 1\r\n\r\n"), &fields)?.expectsContinue == false
        )
        #expect(try request(bytes("GET / HTTP/1.1\r\n\(lines)\r\n"), &fields)?.expectsContinue == false)
    }

    @Test(
        "Methods are case-sensitive, and only some may be sent twice",
        arguments: [
            ("GET", HTTP1.Method.get, true), ("HEAD", .head, true), ("POST", .post, false), ("PUT", .put, true),
            ("DELETE", .delete, true), ("OPTIONS", .options, true), ("PATCH", .patch, false), ("TRACE", .trace, true),
            ("CONNECT", .connect, false), ("get", .other, false), ("FROB", .other, false),
        ])
    func methods(_ name: String, _ method: HTTP1.Method, _ isIdempotent: Bool) {
        let parsed = HTTP1.Method(bytes(name).span)
        #expect(parsed == method)
        #expect(method.isIdempotent == isIdempotent)
    }

    @Test(
        "A method means the same however many bytes stand behind it, and one that only begins like another is another",
        arguments: [
            ("GET", HTTP1.Method.get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("DELETE", .delete),
            ("PATCH", .patch), ("OPTIONS", .options), ("GETS", .other), ("PUTT", .other), ("get", .other),
            ("G", .other), ("DELET", .other), ("PROPFIND", .other),
        ])
    func methodsOfHeads(_ name: String, _ method: HTTP1.Method) throws {
        var fields = FieldTable()
        for target in ["/", "/a/longer/path?with=query"] {
            let received = bytes("\(name) \(target) HTTP/1.0\r\n\r\n")
            let head = try #require(try request(received, &fields))
            #expect(head.method == method)
            #expect(text(received, head.methodText) == name && text(received, head.target) == target)
        }
        #expect(refusal("\(name)\t/ HTTP/1.1\r\n\r\n") == .invalidMethod)
        #expect(refusal("\(name)  / HTTP/1.1\r\n\r\n") == .invalidTarget)
        let limits = HeadLimits(methodBytes: name.utf8.count - 1)
        #expect(refusal("\(name) /a/long/path HTTP/1.1\r\n\r\n", limits: limits) == .methodTooLong)
    }

    @Test("A name that differs from a known one in any one byte is another")
    func nearlyKnownNames() {
        for known in FieldKind.allKinds where known != .other {
            let name = bytes("\(known.name)")
            #expect(FieldKind(name: name.span) == known)
            for place in name.indices {
                var other = name
                other[place] = UInt8(ascii: "0")
                #expect(FieldKind(name: other.span) == .other, "\(text(other))")
            }
            #expect(kind(text(name) + "s") == .other && kind("s" + text(name)) == .other)
        }
    }

    @Test("Fields of one hop are the ones noted beside Host and Content-Length")
    func kindsOfOneHop() {
        let ofOneHop: [FieldKind] = [
            .connection, .keepAlive, .proxyConnection, .te, .upgrade, .http2Settings, .transferEncoding, .expect,
        ]
        for kind in FieldKind.allKinds {
            #expect(kind.isHopByHop == ofOneHop.contains(kind))
        }
    }
}

extension FieldKind {
    fileprivate static var allKinds: [FieldKind] { (0...UInt8.max).compactMap { FieldKind(rawValue: $0) } }
}

private func kind(_ name: String) -> FieldKind { FieldKind(name: bytes(name).span) }
