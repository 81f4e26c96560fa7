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

    /// A connection whose first bytes are there when it is accepted: from then on there is a deadline.
    private static func connect(_ stage: Stage, sending text: String) throws -> Peer {
        try stage.proxy.program.whileStopped {
            let peer = try stage.proxy.connect()
            try peer.send(text)
            return peer
        }
    }

    @Test("A head must be whole within its time, and bytes that drip in do not renew it")
    func head() throws {
        let stage = try Stage.configured { $0.listener = ["timeouts: { request_head: 2s }"] }
        let start = ContinuousClock.now
        let head = "GET / HTTP/1.1\r\nHost: app.test\r\nX: " + String(repeating: "x", count: 1000)
        let peer = try Self.connect(stage, sending: String(head.prefix(1)))
        let sent = 1 + Self.drip(head.dropFirst().map(String.init), every: 50, to: peer)
        let took = ContinuousClock.now - start
        #expect(sent < head.count)
        #expect(took >= .seconds(2) && took < .seconds(30), "it took \(took)")
        let response = try peer.receiveResponse()
        #expect(response.status == 408)
        #expect(response["connection"] == "close")
        #expect(peer.isClosed())
        #expect(stage.upstream.connectionCount == 0)
    }

    @Test("The next head on a connection has the same time, whatever came before")
    func nextHead() throws {
        let stage = try Stage.configured { $0.listener = ["timeouts: { request_head: 2s, keep_alive: 60s }"] }
        let peer = try Self.connect(stage, sending: request())
        #expect(try peer.receiveResponse().status == 200)
        try peer.send(request() + "GET / HTTP/1.1\r\nHost: app.test\r\nX: ")
        #expect(try peer.receiveResponse().status == 200)
        #expect(Self.drip(repeatElement("x", count: 1000), every: 50, to: peer) < 1000)
        #expect(try peer.receiveResponse().status == 408)
    }

    /// Three callers at once, since each needs the ten seconds of grace.
    @Test(
        "A body slower than the rate is 408 after the grace; a faster one and one whose upstream blocks are left alone")
    func body() throws {
        let go = Observed(false)
        let stage = try Stage(
            script: { exchange in
                if exchange.head.target == "/blocked" { go.wait(seconds: 300) { $0 } }
                let body = try exchange.body()
                try exchange.reply(text: "\(body.bytes.count)")
            }, configure: { $0.upstreams["app"]?.append("timeouts: { response: 10m, idle: 10m }") })
        let statuses = Observed([String: (status: Int, text: String, seconds: Double)]())
        let address = try stage.proxy.address()
        func call(_ name: String, _ work: @escaping @Sendable (Peer) throws -> Void) {
            Thread.detachNewThread {
                let start = ContinuousClock.now
                var (status, text) = (-1, "")
                do {
                    let peer = try Peer(to: address)
                    peer.timeout = 300
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
            _ = Self.drip(repeatElement("0123456789", count: 1000), every: 200, to: peer)
        }
        call("steady") { peer in
            try peer.send(head("/steady", 260_000))
            let piece = String(repeating: "x", count: 4000)
            #expect(Self.drip(repeatElement(piece, count: 65), every: 200, to: peer) == 65)
        }
        call("blocked") { peer in
            // More than the kernel's buffers take: the proxy waits for the upstream, not for this caller.
            try peer.send(head("/blocked", 30_000_000))
            try peer.send(Pattern.bytes(30_000_000))
        }
        #expect(statuses.wait(seconds: 120) { $0["slow"] != nil && $0["steady"] != nil })
        go.change { $0 = true }
        #expect(statuses.wait(seconds: 120) { $0["blocked"] != nil })
        let found = statuses.current
        let slow = try #require(found["slow"])
        #expect(slow.status == 408, "\(slow)")
        #expect(slow.text.contains("too slowly"))
        #expect(slow.seconds >= 10 && slow.seconds < 60, "it took \(slow.seconds) s")
        let steady = try #require(found["steady"])
        #expect(steady.status == 200 && steady.text == "260000", "\(steady)")
        #expect(found["blocked"]?.status == 200 && found["blocked"]?.text == "30000000")
        let metrics = try stage.proxy.metrics()
        #expect(metrics["propagating_proxy_local_replies_total", ["reason": "request_too_slow"]] == 1)
    }

    @Test("A body that stops is given up after the idle time, with a rate to keep and without")
    func idleBody() throws {
        let stage = try Stage.configured {
            $0.listener = ["timeouts: { request_body_idle: 5s, request_body_rate: 1 }"]
            $0.listeners["loose"] = ["timeouts: { request_body_idle: 5s, request_body_rate: 0 }"]
        }
        let peers = try ["front", "loose"].map { try stage.proxy.connect(to: $0) }
        for peer in peers { try peer.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000\r\n\r\n") }
        for _ in 0..<12 {  // for longer than the idle time
            for peer in peers {
                try peer.send("12345678")
                #expect(peer.isSilent(for: 0.25))
            }
        }
        for peer in peers {
            let response = try peer.receiveResponse()
            #expect(response.status == 408)
            #expect(response.body.text.contains("in time"))
        }
    }
}
