// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing

@Suite("Callers that half-close or go away")
struct CallerEndTests {
    @Test("A caller that half-closes gets its whole answer, also a long one that it reads slowly")
    func wholeAnswer() throws {
        let body = Pattern.bytes(20_000_000)
        let stage = try Stage { exchange in
            _ = try exchange.body()
            try exchange.reply(body: body)
        }
        for sent in [request("GET", "/"), request("POST", "/", body: "x")] {
            let peer = try stage.proxy.connect()
            peer.limitReceiveBuffer(to: 1 << 16)
            try peer.send(sent)
            peer.closeWriting()
            let head = try peer.receiveHead()
            #expect(head.status == 200)
            var received: [UInt8] = []
            while received.count < body.count {
                let part = try peer.receive()
                guard !part.isEmpty else { break }
                received += part
            }
            #expect(received == body)
        }
    }

    @Test("Requests that were pipelined before a half-close are all answered, then the connection ends")
    func pipelined() throws {
        let stage = try Stage { try $0.reply(text: $0.head.target) }
        let peer = try stage.proxy.connect()
        try peer.send((0..<10).map { request("GET", "/\($0)") }.joined())
        peer.closeWriting()
        for number in 0..<10 { #expect(try peer.receiveResponse().body.text == "/\(number)") }
        #expect(peer.isClosed())
    }

    @Test("A reset that comes together with HTTP/2 frames ends their streams all the same")
    func resetBehindFrames() throws {
        let stage = try Stage(
            script: { exchange in
                _ = try exchange.body()
                _ = try exchange.peer.receive()  // nothing, until the proxy has gone
            },
            configure: { $0.upstreams["app", default: []].append("timeouts: { response: 10m }") })
        let peer = try stage.proxy.connect()
        let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
        try peer.send(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + settings)
        _ = try peer.receive(exactly: 9)
        let acknowledgement: [UInt8] = [0, 0, 0, 4, 1, 0, 0, 0, 0]
        let ping: [UInt8] = [0, 0, 8, 6, 0, 0, 0, 0, 0] + Array("pingpong".utf8)
        try peer.send(acknowledgement + ping)
        _ = try peer.receive(through: Array("pingpong".utf8))
        // Stream 1, END_HEADERS and END_STREAM: GET http / of `a`. It waits in the kernel, the reset behind it.
        try stage.proxy.program.whileStopped {
            try peer.send([0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 1, 0x61])
            peer.reset()
        }
        let (streams, open) = (
            "propagating_proxy_downstream_http2_streams_total", "propagating_proxy_downstream_connections"
        )
        let metrics = try stage.proxy.metrics { $0[streams] == 1 && $0[open] == 0 }
        #expect(metrics[streams] == 1 && metrics[open] == 0)
        #expect(stage.upstream.waitUntilIdle(), "and not at the response timeout of 10 min")
    }

    @Test("A half-close in the middle of a request ends it, and nothing whole reaches the upstream")
    func midRequest() throws {
        let stage = try Stage()
        for text in ["GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"] {
            let peer = try stage.proxy.connect()
            try peer.send(text)
            peer.closeWriting()
            #expect(peer.isClosed())
        }
        #expect(stage.upstream.requests.allSatisfy { !$0.isComplete })
    }

    enum Moment: String, CaseIterable, Sendable { case beforeTheHead, amidTheBody, amidTheRequest }

    @Test(
        "A caller that goes away takes its upstream exchange with it at once, and both spans say client_closed",
        arguments: Moment.allCases)
    func goesAway(moment: Moment) throws {
        let closed = Observed<ContinuousClock.Instant?>(nil)
        let stage = try Stage(
            script: { exchange in
                if moment == .amidTheBody {
                    try exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
                }
                if moment == .amidTheRequest { _ = try exchange.peer.receive(exactly: 3) }
                if exchange.peer.isClosed(within: 60) { closed.change { $0 = .now } }
                exchange.close()
            },
            configure: {  // nothing else ends the exchange
                $0.listener = ["timeouts: { request_body_idle: 10m, request_body_rate: 0 }"]
                $0.upstreams["app"]?.append("timeouts: { response: 10m, idle: 10m }")
            })
        let peer = try stage.proxy.connect()
        let isPost = moment == .amidTheRequest
        try peer.send(isPost ? "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc" : request())
        if moment == .amidTheBody { _ = try peer.receive(through: Array("abc".utf8)) }
        try stage.upstream.waitForHeads()
        let start = ContinuousClock.now
        peer.reset()
        #expect(closed.wait { $0 != nil })
        let took = try #require(closed.current) - start
        // 100 ms are promised; tests run beside compilers, and any thread may stand still.
        #expect(took < .seconds(30), "it took \(took)")
        let spans = try stage.collector.spans(2)
        #expect(Set(spans.map(\.kind)) == [.server, .client])
        for span in spans {
            #expect(span.tags["proxy.reason"] == "client_closed")
            #expect(span.tags["error"] == nil)
        }
    }
}

@Suite("IPv6")
struct IPv6Tests {
    @Test("IPv6 peers and upstreams stand in spans as such, and Host may hold an address in brackets")
    func spans() throws {
        let stage = try Stage(upstream: .ipv6(port: 0), script: FakeUpstream.echo) { $0.address = "[::1]:0" }
        let text = "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n"
        #expect(try stage.forward(text).received["host"] == "[2001:db8::1]:8080")
        _ = try stage.collector.spans(2)
        let posts = stage.collector.posts.map { String(decoding: $0.body.bytes, as: UTF8.self) }.joined()
        #expect(
            posts.contains("\"port\":\(stage.upstream.address.port),\"ipv6\":\"::1\""), "\(posts)")
        #expect(!posts.contains("ipv4"), "\(posts)")
    }

    @Test("A zone in Host is refused")
    func zone() throws {
        let stage = try Stage()
        for host in ["[fe80::1%25eth0]", "[fe80::1%eth0]"] {
            #expect(try stage.proxy.exchange("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n").status == 400)
        }
    }

    @Test("A listener on [::] takes IPv6 only, and leaves the port of 0.0.0.0 to another")
    func wildcard() throws {
        for _ in 0..<10 {
            let stage = try Stage.configured { $0.address = "[::]:0" }
            let port = try stage.proxy.address().port
            #expect(try Peer(to: .ipv6(port: port)).exchange(request()).status == 200)
            // That port of IPv4 may be another test's: then with another one.
            guard let other = try? FakeUpstream(on: .ipv4(port: port), script: { try $0.reply(418) }) else { continue }
            #expect(try Peer(to: other.address).exchange(request()).status == 418)
            #expect(stage.proxy.program.isRunning)
            return
        }
        Issue.record("ten times the port of IPv4 was taken")
    }
}
