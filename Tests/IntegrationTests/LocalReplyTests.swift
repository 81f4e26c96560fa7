// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// One request that the proxy answers itself.
struct LocalReply: Sendable, CustomTestStringConvertible {
    let name: String
    let request: String
    let status: Int
    /// A deadline runs from the accept on: the bytes have to be there by then.
    var isTimed = false
    var configure: @Sendable (inout ConfigurationText) -> Void = { _ in }

    var testDescription: String { name }

    static let all = [
        LocalReply(name: "no route", request: TestRequest.get("/unknown"), status: 404) {
            $0.routes = ["{ match: { prefix: /known }, upstream: app }"]
        },
        LocalReply(name: "no Host", request: "GET / HTTP/1.1\r\n\r\n", status: 400),
        LocalReply(name: "two Hosts", request: "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", status: 400),
        LocalReply(
            name: "space before the colon", request: "GET / HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n", status: 400),
        LocalReply(name: "folded field", request: "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", status: 400),
        LocalReply(
            name: "length and chunks",
            request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            status: 400),
        LocalReply(
            name: "two lengths",
            request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", status: 400),
        LocalReply(
            name: "head too large", request: TestRequest.get("/", ["X: " + String(repeating: "x", count: 70_000)]),
            status: 431),
        LocalReply(name: "too many fields", request: TestRequest.get("/", (0..<150).map { "X-\($0): 1" }), status: 431),
        LocalReply(
            name: "target too long", request: TestRequest.get("/" + String(repeating: "x", count: 20_000)), status: 414),
        LocalReply(name: "CONNECT", request: "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", status: 405),
        LocalReply(name: "TRACE", request: "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", status: 405),
        LocalReply(
            name: "unknown transfer coding",
            request: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: br, chunked\r\n\r\n0\r\n\r\n",
            status: 501),
        LocalReply(name: "HTTP/2.0 in text", request: "GET / HTTP/2.0\r\nHost: a\r\n\r\n", status: 505),
        LocalReply(name: "request head too slow", request: "GET / HTTP/1.1\r\nHos", status: 408, isTimed: true) {
            $0.listener = ["timeouts: { request_head: 2s }"]
        },
        LocalReply(name: "body too large", request: TestRequest.post(String(repeating: "x", count: 2000)), status: 413)
        {
            $0.further = ["limits: { body: 1000 }"]
        },
        LocalReply(name: "upstream refuses", request: TestRequest.get("/"), status: 503) {
            $0.upstreams["app"] = ["endpoints: [\"127.0.0.1:1\"]"]
        },
        LocalReply(name: "upstream does not answer", request: TestRequest.get("/silent"), status: 504) {
            $0.upstreams["app"]?.append("timeouts: { response: 300ms }")
        },
        LocalReply(name: "upstream answers nonsense", request: TestRequest.get("/nonsense"), status: 502),
        LocalReply(name: "upstream closes without an answer", request: TestRequest.get("/close"), status: 502),
        LocalReply(name: "upstream resets", request: TestRequest.get("/reset"), status: 502),
    ]

    /// What the upstream does, by path.
    static let script: FakeUpstream.Script = { exchange in
        switch exchange.head.target {
        case "/silent": _ = exchange.peer.isClosed(within: 600)
        case "/nonsense": try exchange.send("SSH-2.0-OpenSSH_9.2\r\n\r\n")
        case "/close": exchange.close()
        case "/reset": exchange.reset()
        default: try exchange.reply(text: "from upstream")
        }
    }
}

/// Requests as text, for tables.
enum TestRequest {
    static func get(_ target: String, _ fields: [String] = []) -> String {
        (["GET \(target) HTTP/1.1", "Host: app.test"] + fields + ["", ""]).joined(separator: "\r\n")
    }

    static func post(_ body: String) -> String {
        "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }
}

@Suite("Local replies")
struct LocalReplyTests {
    @Test(
        "What we answer ourselves has the right status, one line that says why, and a SERVER span",
        arguments: LocalReply.all)
    func reply(_ row: LocalReply) throws {
        let stage = try Stage(script: LocalReply.script, configure: row.configure)
        func send() throws -> Peer {
            let peer = try stage.proxy.connect()
            // What it refuses early it need not read to the end.
            do { try peer.send(row.request) } catch SocketError.failed {}
            return peer
        }
        let peer = try row.isTimed ? stage.proxy.program.whileStopped(send) : send()
        let response = try peer.receiveResponse()
        #expect(response.status == row.status)
        #expect(response["content-type"]?.hasPrefix("text/plain") == true)
        let text = response.body.text
        #expect(text.count > 3 && text.filter { $0 == "\n" }.count <= 1, "the reason reads \(text.debugDescription)")
        let spans = try stage.collector.spans(1)
        let server = try #require(spans.first { $0.kind == .server })
        #expect(server.tags["http.status_code"] == "\(row.status)")
        #expect(server.tags["error"] != nil || row.status < 500)
        #expect(server.durationMicroseconds > 0)
    }

    @Test("A reply to a request that broke no framing keeps the connection")
    func keepsConnection() throws {
        let stage = try Stage.configured { $0.routes = ["{ match: { prefix: /known }, upstream: app }"] }
        let peer = try stage.proxy.connect()
        #expect(try peer.exchange(request("GET", "/unknown")).status == 404)
        #expect(try peer.exchange(request("GET", "/known")).status == 200)
        #expect(try peer.exchange(request("GET", "/unknown")).status == 404)
    }

    @Test("A reply to a request whose end is unknown closes the connection, and what follows is not served")
    func closesConnection() throws {
        let stage = try Stage()
        let peer = try stage.proxy.connect()
        try peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n" + request("GET", "/smuggled"))
        let response = try peer.receiveResponse()
        #expect(response.status == 400)
        #expect(response["connection"]?.lowercased() == "close")
        #expect(peer.isClosed())
        #expect(stage.upstream.requests.isEmpty)
    }

    @Test("A refusing upstream is answered for in under 50 ms")
    func refusedFast() throws {
        let stage = try Stage.configured { $0.upstreams["app"] = ["endpoints: [\"127.0.0.1:1\"]"] }
        let peer = try stage.proxy.connect()
        let times = try (0..<20).map { _ -> Duration in
            let start = ContinuousClock.now
            let response = try peer.exchange(request())
            #expect(response.status == 503)
            return ContinuousClock.now - start
        }
        // The quickest: the machine's other work may hold up many, a wait of ours would hold up all.
        let quickest = try #require(times.min())
        #expect(quickest < .milliseconds(isOptimized && !isSanitized ? 50 : 500), "\(times)")
    }
}
