// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("Slow callers")
struct SlowCallerTests {
    /// Sends the pieces with a pause between, until the other side answers or closes.
    ///
    /// - Returns: how many went.
    private static func drip(_ pieces: some Sequence<String>, every milliseconds: UInt32, to peer: Peer) -> Int {
        var sent = 0
        for piece in pieces {
            do { try peer.send(piece) } catch { break }
            sent += 1
            guard peer.isSilent(for: Double(milliseconds) / 1000) else { break }
        }
        return sent
    }

    @Test("A head must be whole within its time, and bytes that drip in do not renew it")
    func head() throws {
        let stage = try Stage.configured { $0.listener = ["timeouts: { request_head: 1s }"] }
        let peer = try stage.proxy.connect()
        let start = ContinuousClock.now
        let head = "GET / HTTP/1.1\r\nHost: app.test\r\nX: " + String(repeating: "x", count: 1000)
        let sent = Self.drip(head.map(String.init), every: 50, to: peer)
        let took = ContinuousClock.now - start
        #expect(sent < head.count)
        #expect(took >= .seconds(1) && took < .seconds(7), "it took \(took)")
        let response = try peer.receiveResponse()
        #expect(response.status == 408)
        #expect(response["connection"] == "close")
        #expect(peer.isClosed())
        #expect(stage.upstream.connectionCount == 0)
    }

    @Test("The next head on a connection has the same time, whatever came before")
    func nextHead() throws {
        let stage = try Stage.configured { $0.listener = ["timeouts: { request_head: 500ms, keep_alive: 60s }"] }
        let peer = try stage.proxy.connect()
        #expect(try peer.exchange(request()).status == 200)
        let text = request() + "GET / HTTP/1.1\r\nHost: app.test\r\n"
        try peer.send(text)
        #expect(try peer.receiveResponse().status == 200)
        let sent = Self.drip((0..<100).map { "X-\($0): 1\r\n" }, every: 50, to: peer)
        #expect(sent < 100)
        #expect(try peer.receiveResponse().status == 408)
    }

    /// Three callers at once, since each needs the ten seconds of grace.
    @Test(
        "A body slower than the rate is 408 after the grace; a faster one and one whose upstream blocks are left alone")
    func body() throws {
        let go = Observed(false)
        let stage = try Stage { exchange in
            if exchange.head.target == "/blocked" { go.wait(seconds: 60) { $0 } }
            let body = try exchange.body()
            try exchange.reply(text: "\(body.bytes.count)")
        }
        let statuses = Observed([String: (status: Int, text: String, seconds: Double)]())
        let address = try stage.proxy.address()
        func call(_ name: String, _ work: @escaping @Sendable (Peer) throws -> Void) {
            Thread.detachNewThread {
                let start = ContinuousClock.now
                var (status, text) = (-1, "")
                do {
                    let peer = try Peer(to: address)
                    peer.timeout = 60
                    try work(peer)
                    let response = try peer.receiveResponse()
                    (status, text) = (response.status, response.body.text)
                } catch { text = "\(error)" }
                let outcome = (status, text, (ContinuousClock.now - start) / .seconds(1))
                statuses.change { $0[name] = outcome }
            }
        }
        @Sendable func head(_ path: String, _ count: Int) -> String {
            "POST \(path) HTTP/1.1\r\nHost: app.test\r\nContent-Length: \(count)\r\n\r\n"
        }
        call("slow") { peer in
            try peer.send(head("/slow", 1_000_000))
            _ = Self.drip(repeatElement("0123456789", count: 200), every: 200, to: peer)
        }
        call("steady") { peer in
            try peer.send(head("/steady", 26_000))
            let piece = String(repeating: "x", count: 400)
            #expect(Self.drip(repeatElement(piece, count: 65), every: 200, to: peer) == 65)
        }
        call("blocked") { peer in
            // More than the kernel's buffers take: the proxy waits for the upstream, not for this caller.
            try peer.send(head("/blocked", 30_000_000))
            try peer.send(Pattern.bytes(30_000_000))
        }
        #expect(statuses.wait(seconds: 60) { $0["slow"] != nil && $0["steady"] != nil })
        go.change { $0 = true }
        #expect(statuses.wait(seconds: 60) { $0["blocked"] != nil })
        let found = statuses.current
        let slow = try #require(found["slow"])
        #expect(slow.status == 408, "\(slow)")
        #expect(slow.text.contains("too slowly"))
        #expect(slow.seconds >= 10 && slow.seconds < 40, "it took \(slow.seconds) s")
        #expect(
            found["steady"]?.status == 200 && found["steady"]?.text == "26000", "\(String(describing: found["steady"]))"
        )
        #expect(found["blocked"]?.status == 200 && found["blocked"]?.text == "30000000")
        let metrics = try stage.proxy.metrics()
        #expect(metrics["propagating_proxy_local_replies_total", ["reason": "request_too_slow"]] == 1)
    }

    @Test("A body that stops is given up after the idle time, with a rate to keep and without", arguments: [500, 0])
    func idleBody(rate: Int) throws {
        let stage = try Stage.configured {
            $0.listener = ["timeouts: { request_body_idle: 300ms, request_body_rate: \(rate) }"]
        }
        let peer = try stage.proxy.connect()
        try peer.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000\r\n\r\n")
        #expect(Self.drip(repeatElement("x", count: 10), every: 100, to: peer) == 10)
        let response = try peer.receiveResponse()
        #expect(response.status == 408)
        #expect(response.body.text.contains("in time"))
    }
}
