// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("Odd paths of an exchange")
struct OddPathTests {
    @Test("A reader that pauses and then reads on gets the whole response at once")
    func pausingReader() throws {
        let size = 64 << 20
        let stage = try Stage { exchange in
            try exchange.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
            let block = [UInt8](repeating: 0x7a, count: 1 << 20)
            for _ in 0..<size >> 20 { try exchange.peer.send(block) }
        }
        let peer = try stage.proxy.connect()
        try peer.send(request("GET", "/large"))
        #expect(try peer.receiveHead().status == 200)
        var received = 0
        var nextPause = 0
        while received < size {
            let count = try peer.receive(atMost: 1 << 20).count
            guard count > 0 else { break }
            received += count
            if received > nextPause {
                usleep(20_000)  // the proxy's socket fills up
                nextPause += 8 << 20
            }
        }
        #expect(received == size)
    }

    @Test("An upstream's reset right behind part of a response is noticed at once", arguments: ["HTTP/1.1 2", "abc"])
    func resetBehindBytes(end: String) throws {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"
        let part = String(text[..<(text.range(of: end)?.upperBound ?? text.endIndex)])
        let stage = try Stage(
            script: { exchange in
                try exchange.send(part)
                exchange.reset()
            }, configure: { $0.upstreams["app"]?.append("timeouts: { response: 10m, idle: 10m }") })
        for _ in 0..<5 {
            let peer = try stage.proxy.connect()
            try peer.send(request("GET", "/", ["Connection: close"]))
            let start = ContinuousClock.now
            let received = (try? peer.receiveToEnd()) ?? []
            #expect(ContinuousClock.now - start < .seconds(30))
            if end != "abc" { #expect(String(decoding: received, as: UTF8.self).hasPrefix("HTTP/1.1 502")) }
        }
    }

    @Test("A proxy that stood still takes an answer that came in time for one, and not for a timeout")
    func stoodStill() throws {
        let mayAnswer = Observed(false)
        let hasAnswered = Observed(false)
        let stage = try Stage(
            script: { exchange in
                mayAnswer.wait(seconds: 60) { $0 }
                try exchange.reply(text: "in time")
                hasAnswered.change { $0 = true }
            }, configure: { $0.upstreams["app"]?.append("timeouts: { response: 6s }") })
        let peer = try stage.proxy.connect()
        try peer.send(request())
        try stage.upstream.waitForHeads()
        try stage.proxy.program.whileStopped {
            mayAnswer.change { $0 = true }
            hasAnswered.wait { $0 }
            usleep(6_500_000)
        }
        let response = try peer.receiveResponse()
        #expect(response.status == 200 && response.body.text == "in time")
    }

    @Test(
        "A caller's reset right behind part of its body ends the exchange at once, known to the upstream or not",
        arguments: [false, true])
    func callerResetBehindBytes(isKnown: Bool) throws {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
        let stage = try Stage { exchange in
            _ = try? exchange.peer.receiveToEnd()
            exchange.close()
        }
        for number in 1...5 {
            let peer = try stage.proxy.connect()
            if isKnown {
                try peer.send(head)
                try stage.upstream.waitForHeads(number)
            }
            try stage.proxy.program.whileStopped {
                try peer.send(isKnown ? "abc" : head + "abc")
                peer.reset()
            }
            let metrics = try stage.proxy.metrics {
                $0["propagating_proxy_downstream_connections_total"] == number
                    && $0["propagating_proxy_downstream_connections"] == 0
                    && $0["propagating_proxy_upstream_connections", ["state": "active"]] == 0
            }
            #expect(metrics["propagating_proxy_downstream_connections_total"] == number)
            #expect(metrics["propagating_proxy_downstream_connections"] == 0)
            #expect(metrics["propagating_proxy_upstream_connections", ["state": "active"]] == 0)
            if isKnown { #expect(stage.upstream.waitUntilIdle()) }
        }
    }

    @Test("A caller that resets while the upstream thinks ends the upstream's exchange", arguments: [false, true])
    func callerGone(hasPipelined: Bool) throws {
        let over = Observed(false)
        let stage = try Stage { exchange in
            let isClosed = exchange.peer.isClosed(within: 50)
            over.change { $0 = isClosed }
            exchange.close()
        }
        let peer = try stage.proxy.connect()
        try peer.send(request("GET", "/slow"))
        try stage.upstream.waitForHeads()
        if hasPipelined { try peer.send(request("GET", "/next")) }
        peer.reset()
        #expect(over.wait { $0 }, "and not at the response timeout of a minute")
    }

    @Test("A tunnel whose upstream has ended its direction carries the other one to its end")
    func tunnelEndsInUpstreamFirst() throws {
        let size = 20_000_000
        let received = Observed(0)
        let stage = try Stage { exchange in
            try exchange.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            exchange.peer.closeWriting()
            usleep(100_000)  // the proxy's socket fills up
            let count = try exchange.peer.receiveToEnd().count
            received.change { $0 = count }
            exchange.close()
        }
        let peer = try stage.proxy.connect()
        #expect(try peer.exchange(TunnelTests.asking).status == 101)
        try peer.send([UInt8](repeating: 1, count: size))
        peer.closeWriting()
        #expect(received.wait { $0 == size })
    }

    @Test("A tunnel ends for the caller when the upstream is gone")
    func tunnelUpstreamGone() throws {
        let stage = try Stage { exchange in
            try exchange.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            exchange.reset()
        }
        let peer = try stage.proxy.connect()
        try peer.send(TunnelTests.asking)
        let start = ContinuousClock.now
        _ = try? peer.receiveToEnd()
        #expect(ContinuousClock.now - start < .seconds(30))
    }

    @Test("A caller that never reads is cut after the idle time, also when its request ends meanwhile")
    func neverReads() throws {
        let sent = Observed(0)
        let stage = try Stage(
            script: { exchange in
                try exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
                let block = [UInt8](repeating: 1, count: 1 << 18)
                while true {
                    try exchange.peer.send(block)
                    sent.change { $0 += block.count }
                }
            },
            configure: { $0.upstreams["app"]?.append("timeouts: { idle: 3s }") })
        let peer = try stage.proxy.connect()
        peer.limitReceiveBuffer(to: 1 << 16)
        try peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        try stage.upstream.waitForHeads()
        var seen = 0
        while sent.wait(seconds: 0.5, until: { $0 > seen }) { seen = sent.current }  // until all buffers have filled
        try? peer.send("12345")  // the idle time may have passed by now
        let name = "propagating_proxy_downstream_connections"
        #expect(try stage.proxy.metrics { $0[name] == 0 }[name] == 0)
        peer.close()
    }

    @Test("An upstream that takes no more of a request is given up after the idle time")
    func neverTakes() throws {
        let isOver = Observed(false)
        defer { isOver.change { $0 = true } }
        let stage = try Stage(
            script: { exchange in
                _ = exchange.peer.isSilent(for: 0)
                isOver.wait(seconds: 120) { $0 }
                exchange.reset()
            },
            configure: { $0.upstreams["app"]?.append("timeouts: { idle: 1s }") })
        let peer = try stage.proxy.connect()
        try peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        let start = ContinuousClock.now
        try? peer.send([UInt8](repeating: 1, count: 100_000_000))
        #expect(ContinuousClock.now - start < .seconds(30))
    }
}
