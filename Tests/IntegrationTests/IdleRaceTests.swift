// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Rows 3 to 6 of the fault table: what becomes of a request whose connection dies before a response byte.
@Suite("The idle-close race and what may be sent twice (RFC 9112 §9.3.1)")
struct IdleRaceTests {
    /// How an upstream's connection ends instead of an answer.
    enum Ending: CaseIterable { case close, reset }

    /// Answers, until told to die after reading so many requests whole.
    private static func mortal(_ deaths: Observed<Int>, _ ending: Ending = .close) -> FakeUpstream.Script {
        { exchange in
            let body = try exchange.body()
            let dies = deaths.change { left in
                defer { left = max(0, left - 1) }
                return left > 0
            }
            guard dies else { return try exchange.reply(body: body.bytes) }
            if ending == .close { exchange.close() } else { exchange.reset() }
        }
    }

    @Test(
        "A fresh connection that ends before a response byte is 502, and the request is not sent again",
        arguments: [("GET", Ending.close), ("GET", .reset), ("POST", .close), ("POST", .reset)])
    func fresh(method: String, ending: Ending) throws {
        let stage = try Stage(script: Self.mortal(Observed(1), ending))
        let body = method == "POST" ? "x" : nil
        #expect(try stage.proxy.exchange(request(method, "/", body: body)).status == 502)
        #expect(stage.upstream.requests.count == 1)
    }

    @Test(
        "Every idempotent method gets one more try when a reused connection dies",
        arguments: ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"], Ending.allCases)
    func idempotent(method: String, ending: Ending) throws {
        let deaths = Observed(0)
        let stage = try Stage(script: Self.mortal(deaths, ending))
        #expect(try stage.proxy.exchange(request()).status == 200)
        deaths.change { $0 = 1 }
        #expect(try stage.proxy.exchange(request(method)).status == 200)
        #expect(stage.upstream.requests.map(\.connection) == [0, 0, 1])
        #expect(try stage.proxy.metrics()["propagating_proxy_upstream_replays_total"] == 1)
    }

    @Test("A request is replayed once and never twice")
    func once() throws {
        let deaths = Observed(0)
        let stage = try Stage(script: Self.mortal(deaths))
        #expect(try stage.proxy.exchange(request()).status == 200)
        deaths.change { $0 = 2 }
        #expect(try stage.proxy.exchange(request()).status == 502)
        #expect(stage.upstream.requests.count == 3)
    }

    @Test("A replay carries the whole body, with a length or in chunks", arguments: [false, true])
    func body(isChunked: Bool) throws {
        let deaths = Observed(0)
        let stage = try Stage(script: Self.mortal(deaths))
        #expect(try stage.proxy.exchange(request()).status == 200)
        deaths.change { $0 = 1 }
        let text = String(repeating: "0123456789", count: 3000)
        let put =
            isChunked
            ? request("PUT", "/", ["Transfer-Encoding: chunked"]) + "7530\r\n\(text)\r\n0\r\n\r\n"
            : request("PUT", "/", body: text)
        #expect(try stage.proxy.exchange(put).body.text == text)
        #expect(stage.upstream.requests.map(\.connection) == [0, 0, 1])
    }

    @Test("A request that has outgrown the 64 KiB buffer is not replayed")
    func largeBody() throws {
        let deaths = Observed(0)
        let stage = try Stage(script: Self.mortal(deaths))
        #expect(try stage.proxy.exchange(request()).status == 200)
        deaths.change { $0 = 1 }
        let put = request("PUT", "/", body: String(repeating: "x", count: 100_000))
        #expect(try stage.proxy.exchange(put).status == 502)
        #expect(stage.upstream.requests.count == 2)
    }

    @Test("A response that has begun is not asked for again")
    func responseBegun() throws {
        let deaths = Observed(0)
        let stage = try Stage { exchange in
            if deaths.current > 0 {
                try exchange.send("HTTP/1.1 200 OK\r\nContent-Le")
                return exchange.reset()
            }
            try exchange.reply(text: "ok")
        }
        #expect(try stage.proxy.exchange(request()).status == 200)
        deaths.change { $0 = 1 }
        #expect(try stage.proxy.exchange(request()).status == 502)
        #expect(stage.upstream.requests.count == 2)
    }

    @Test("Bytes that come on an idle connection never become an answer")
    func unasked() throws {
        let isPoisoned = Observed(false)
        let stage = try Stage { exchange in
            try exchange.reply(text: "asked")
            guard !isPoisoned.current else { return }
            try exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
            isPoisoned.change { $0 = true }
        }
        // The poison may come with the answer, just behind it, or while the connection is idle. Sent behind the next
        // request it would be that one's answer, for all anybody can tell.
        #expect(try stage.proxy.exchange(request()).body.text == "asked")
        #expect(isPoisoned.wait { $0 })
        for _ in 0..<4 { #expect(try stage.proxy.exchange(request()).body.text == "asked") }
        #expect(stage.upstream.connectionCount == 2)
    }

    @Test("Bytes that come before a request was sent are no answer to it")
    func spokeFirst() throws {
        let upstream = try FullListener()
        let stage = try Stage.configured {
            $0.upstreams["app"] = ["endpoints: [\"\(upstream.address)\"]", "timeouts: { connect: 10m }"]
        }
        let peer = try stage.proxy.connect()
        try peer.send(request())
        _ = try stage.proxy.metrics { $0["propagating_proxy_upstream_connections", ["state": "active"]] == 1 }
        // While the proxy stands still, the connect ends and the bytes come: it sees both at once.
        let accepted = try stage.proxy.program.whileStopped {
            let accepted = try upstream.acceptWaiting()
            try accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
            return accepted
        }
        defer { accepted.close() }
        let response = try peer.receiveResponse()
        #expect(response.status == 502)
        #expect(response.body.text == "the upstream spoke before it was asked\n")
    }

    @Test("The death of a pooled connection closes those that have been idle for longer")
    func siblings() throws {
        let arrived = Observed(0)
        let isDying = Observed(false)
        let stage = try Stage { exchange in
            if isDying.change({ flag in
                defer { flag = false }
                return flag
            }) {
                return exchange.reset()
            }
            // The first three wait for each other, so that each has a connection of its own.
            arrived.change { $0 += 1 }
            arrived.wait(seconds: 50) { $0 >= 3 }
            try exchange.reply(text: "ok")
        }
        let peers = try (0..<3).map { _ in try stage.proxy.connect() }
        for peer in peers { try peer.send(request()) }
        for peer in peers { #expect(try peer.receiveResponse().status == 200) }
        #expect(stage.upstream.openConnectionCount == 3)
        isDying.change { $0 = true }
        #expect(try stage.proxy.exchange(request()).status == 200)
        #expect(stage.upstream.waitUntilIdle(connections: 1))
        let name = "propagating_proxy_upstream_connections_distrusted_total"
        #expect(try stage.proxy.metrics()[name] == 2)
    }
}
