// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("Connections")
struct ConnectionTests {
    @Test("Requests on one connection are served one after the other, over one upstream connection")
    func keepAlive() throws {
        let stage = try Stage()
        let peer = try stage.proxy.connect()
        for number in 0..<50 {
            #expect(try peer.exchange(request("POST", "/\(number)", body: "\(number)")).body.text == "\(number)")
        }
        #expect(stage.upstream.connectionCount == 1)
    }

    @Test("Pipelined requests are answered in order, also when each is slow")
    func pipelining() throws {
        let stage = try Stage { exchange in try exchange.reply(text: exchange.head.target) }
        let peer = try stage.proxy.connect()
        try peer.send((0..<40).map { request("GET", "/\($0)") }.joined())
        for number in 0..<40 { #expect(try peer.receiveResponse().body.text == "/\(number)") }
        #expect(stage.upstream.requests.map(\.head.target) == (0..<40).map { "/\($0)" })
    }

    @Test("Pipelined requests with bodies are cut where their framing says")
    func pipelinedBodies() throws {
        let stage = try Stage()
        let peer = try stage.proxy.connect()
        let chunkedRequest = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nGET\r\n0\r\n\r\n"
        try peer.send(request("POST", "/a", body: "GET /x HTTP/1.1\r\n\r\n") + chunkedRequest + request("GET", "/d"))
        #expect(try peer.receiveResponse().body.text == "GET /x HTTP/1.1\r\n\r\n")
        #expect(try peer.receiveResponse().body.text == "GET")
        #expect(try peer.receiveResponse().status == 200)
        #expect(stage.upstream.requests.map(\.head.target) == ["/a", "/c", "/d"])
    }

    @Test("Connection: close ends the connection after the answer")
    func close() throws {
        let stage = try Stage()
        let peer = try stage.proxy.connect()
        let response = try peer.exchange(request("GET", "/", ["Connection: close"]))
        #expect(response.status == 200)
        #expect(response["connection"]?.lowercased() == "close")
        #expect(peer.isClosed())
    }

    @Test("An upstream that closes after each answer costs the caller nothing")
    func upstreamCloses() throws {
        let stage = try Stage { exchange in
            try exchange.reply(fields: ["Connection: close"], text: "ok")
            exchange.close()
        }
        let peer = try stage.proxy.connect()
        for _ in 0..<5 { #expect(try peer.exchange(request()).body.text == "ok") }
        #expect(stage.upstream.connectionCount == 5)
    }

    @Test("A pooled connection that the upstream closed is not used again")
    func idleClose() throws {
        let stage = try Stage()
        for number in 0..<5 {
            #expect(try stage.proxy.exchange(request("POST", "/", body: "x\(number)")).body.text == "x\(number)")
            stage.upstream.closeConnections()
            #expect(stage.upstream.waitUntilIdle())
        }
    }

    @Test("An idempotent request whose reused connection dies without a byte is sent once more on a fresh one")
    func replay() throws {
        let dying = Observed(false)
        let stage = try Stage { exchange in
            if dying.change({ flag in
                defer { flag = false }; return flag
            }) {
                exchange.close()
            } else {
                try exchange.reply(text: "ok")
            }
        }
        #expect(try stage.proxy.exchange(request()).status == 200)
        dying.change { $0 = true }
        #expect(try stage.proxy.exchange(request()).status == 200)
        #expect(stage.upstream.connectionCount == 2)
    }

    @Test("A POST whose reused connection dies is never sent twice")
    func noReplay() throws {
        let dying = Observed(false)
        let stage = try Stage { exchange in
            _ = try exchange.body()
            if dying.current { return exchange.close() }
            try exchange.reply(text: "ok")
        }
        #expect(try stage.proxy.exchange(request("POST", "/", body: "a")).status == 200)
        dying.change { $0 = true }
        #expect(try stage.proxy.exchange(request("POST", "/", body: "b")).status == 502)
        #expect(stage.upstream.requests.filter { $0.body.text == "b" }.count == 1)
    }

    @Test("An HTTP/1.0 caller gets a body that ends with the connection or a length, never chunks")
    func http10() throws {
        let stage = try Stage { exchange in
            try exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        }
        let peer = try stage.proxy.connect()
        let response = try peer.exchange("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        #expect(response.status == 200)
        #expect(response.body.text == "abcde")
        #expect(response.head.values("transfer-encoding").isEmpty)
        #expect(peer.isClosed())
        #expect(try stage.upstream.requests(1)[0].head.startLine == "GET / HTTP/1.1")
    }

    @Test("An HTTP/1.0 caller that asks for keep-alive may send a second request")
    func http10KeepAlive() throws {
        let stage = try Stage()
        let peer = try stage.proxy.connect()
        let text = "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx"
        #expect(try peer.exchange(text)["connection"]?.lowercased() == "keep-alive")
        #expect(try peer.exchange(text).body.text == "x")
    }

    @Test(
        "HEAD, 204 and 304 have no body whatever their fields say, and the connection goes on",
        arguments: [200, 204, 304])
    func bodiless(status: Int) throws {
        let stage = try Stage { exchange in
            let length = status == 204 ? "" : "Content-Length: 5\r\n"
            try exchange.send("HTTP/1.1 \(status) Fine\r\n\(length)ETag: \"e\"\r\n\r\n")
        }
        let peer = try stage.proxy.connect()
        let method = status == 200 ? "HEAD" : "GET"
        for _ in 0..<3 {
            let response = try peer.exchange(request(method, "/"))
            #expect(response.status == status)
            #expect(response["etag"] == "\"e\"")
            if status != 204 { #expect(response["content-length"] == "5") }
        }
        #expect(peer.isSilent(for: 0.1))
    }

    @Test("Expect: 100-continue brings 100 before the body, and the upstream's answer after it")
    func expectContinue() throws {
        let stage = try Stage { exchange in
            if exchange.head["expect"] != nil { try exchange.send("HTTP/1.1 100 Continue\r\n\r\n") }
            try exchange.reply(body: exchange.body().bytes)
        }
        let peer = try stage.proxy.connect()
        try peer.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        #expect(try peer.receiveHead().status == 100)
        try peer.send("body")
        #expect(try peer.receiveResponse().body.text == "body")
    }

    @Test("Expect: 100-continue may be answered with a final status at once")
    func expectRefused() throws {
        let stage = try Stage { exchange in
            try exchange.send("HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            exchange.close()
        }
        let peer = try stage.proxy.connect()
        try peer.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        #expect(try peer.receiveResponse().status == 401)
    }

    @Test("Interim responses arrive before the final one")
    func interim() throws {
        let stage = try Stage { exchange in
            try exchange.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
            try exchange.reply(text: "done")
        }
        let response = try stage.proxy.exchange(request())
        #expect(response.interim.map(\.status) == [103, 102])
        #expect(response.interim[0]["link"] == "</a.css>")
        #expect(response.body.text == "done")
    }

    @Test("A caller that half-closes after its request still gets the answer")
    func halfClose() throws {
        let go = Observed(false)
        let stage = try Stage { exchange in
            go.wait { $0 }
            try exchange.reply(text: "late")
        }
        let peer = try stage.proxy.connect()
        try peer.send(request())
        peer.closeWriting()
        try stage.upstream.waitForHeads()
        go.change { $0 = true }
        #expect(try peer.receiveResponse().body.text == "late")
    }

    @Test("When the caller goes away, so does the upstream's exchange")
    func callerGone() throws {
        let over = Observed(false)
        let stage = try Stage { exchange in
            try exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            let closed = exchange.peer.isClosed(within: 50)
            over.change { $0 = closed }
            exchange.close()
        }
        let peer = try stage.proxy.connect()
        try peer.send(request())
        _ = try peer.receive(through: Array("abc".utf8))
        peer.reset()
        #expect(over.wait { $0 })
    }

    @Test("Four hundred connections at once are served, and their descriptors come back")
    func manyConnections() throws {
        let stage = try Stage.configured { $0.listener = ["timeouts: { request_head: 60s }"] }
        let before = stage.proxy.program.openDescriptors
        let peers = try (0..<400).map { _ in try stage.proxy.connect() }
        for peer in peers { try peer.send(request()) }
        for peer in peers { #expect(try peer.receiveResponse().status == 200) }
        for peer in peers { peer.close() }
        stage.upstream.closeConnections()
        let deadline = ContinuousClock.now + .seconds(30)
        // Asked once each time: a moment later the reporter may connect, or an admin's connection not be closed yet.
        var open = stage.proxy.program.openDescriptors
        while open > before + 2 && .now < deadline {
            _ = try stage.proxy.get("/live", listener: "admin")
            open = stage.proxy.program.openDescriptors
        }
        #expect(open <= before + 2)
    }
}

@Suite("Upgrade tunnels")
struct TunnelTests {
    static let asking = request(
        "GET", "/ws",
        [
            "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        ])

    @Test("An accepted upgrade becomes a tunnel in both directions, and its end is passed on")
    func accepted() throws {
        let stage = try Stage { exchange in
            try exchange.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
            let bytes = try exchange.peer.receive(exactly: 100_000)
            try exchange.peer.send(Array(bytes.reversed()))
            _ = exchange.peer.isClosed(within: 50)  // the caller's end, before ours
            exchange.close()
        }
        let peer = try stage.proxy.connect()
        let response = try peer.exchange(Self.asking)
        #expect(response.status == 101)
        #expect(response["upgrade"] == "websocket")
        #expect(response["connection"]?.lowercased() == "upgrade")
        #expect(try peer.receive(exactly: 5) == Array("hello".utf8))
        let bytes = Pattern.bytes(100_000)
        try peer.send(bytes, pieces: 3001)
        #expect(try peer.receive(exactly: 100_000) == bytes.reversed())
        peer.closeWriting()
        #expect(peer.isClosed())
        let received = try stage.upstream.requests(0)[0]
        #expect(received["upgrade"] == "websocket")
        #expect(received["connection"]?.lowercased() == "upgrade")
        let spans = try stage.collector.spans(2)
        #expect(spans.allSatisfy { $0.tags["http.status_code"] == "101" })
    }

    @Test("A refused upgrade is an ordinary answer, and the connection goes on")
    func refused() throws {
        let stage = try Stage { try $0.reply(426, text: "no") }
        let peer = try stage.proxy.connect()
        #expect(try peer.exchange(Self.asking).status == 426)
        #expect(try peer.exchange(request()).status == 426)
    }

    @Test("Bytes behind an upgrade request go nowhere before it is accepted")
    func early() throws {
        let go = Observed(false)
        let stage = try Stage { exchange in
            let silent = exchange.peer.isSilent(for: 0.3)
            go.change { $0 = silent }
            try exchange.reply(400, text: "no")
            exchange.close()
        }
        let peer = try stage.proxy.connect()
        try peer.send(Self.asking + request("GET", "/smuggled"))
        #expect(try peer.receiveResponse().status == 400)
        #expect(go.current)
    }
}
