// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("Bounds of an upstream and the queue before it")
struct BoundsTests {
    /// An upstream that answers when told: `turns` counts the answers it may give. Nothing else ends a wait.
    private static func stage(
        _ bounds: [String], turns: Observed<Int>, closes: Bool = false, further: [SocketAddress] = []
    ) throws -> Stage {
        try Stage {
            exchange in
            let mayAnswer = turns.wait(seconds: 300) { $0 > 0 }
            guard mayAnswer else { return exchange.reset() }
            turns.change { $0 -= 1 }
            try exchange.reply(fields: closes ? ["Connection: close"] : [], text: exchange.head.target)
            if closes { exchange.close() }
        } configure: { text in
            let endpoints = ([text.upstream] + further).map { "\"\($0)\"" }.joined(separator: ", ")
            let timeouts = "timeouts: { pending: 10m, response: 10m, pool_idle: 10m }"
            text.upstreams["app"] = ["endpoints: [\(endpoints)]", timeouts] + bounds
            text.shutdown = "{ drain_delay: 0s, grace: 10m }"
        }
    }

    private func pending(_ stage: Stage, _ outcome: String) throws -> Int {
        try stage.proxy.metrics()[
            "propagating_proxy_upstream_pending_total", ["upstream": "app", "outcome": outcome]]
    }

    /// Callers whose requests wait, in this order.
    private func queue(_ stage: Stage, _ targets: [String]) throws -> [Peer] {
        try targets.enumerated().map { number, target in
            let peer = try stage.proxy.connect()
            try peer.send(request("GET", target))
            try waitUntil(stage, waiting: number + 1)
            return peer
        }
    }

    private func waitUntil(_ stage: Stage, waiting count: Int) throws {
        let metrics = try stage.proxy.metrics { $0["propagating_proxy_upstream_pending"] == count }
        #expect(metrics["propagating_proxy_upstream_pending"] == count)
    }

    @Test(
        "Requests beyond a bound wait, and are served in the order they came",
        arguments: [("max_connections: 1", false), ("max_connections: 1", true), ("max_requests: 1", false)])
    func order(bound: String, closes: Bool) throws {
        let turns = Observed(0)
        let stage = try Self.stage([bound], turns: turns, closes: closes)
        let first = try stage.proxy.connect()
        try first.send(request("GET", "/0"))
        try stage.upstream.waitForHeads()
        let waiting = try queue(stage, ["/1", "/2", "/3"])
        #expect(stage.upstream.openConnectionCount == 1)
        turns.change { $0 = 4 }
        for (number, peer) in ([first] + waiting).enumerated() {
            #expect(try peer.receiveResponse().body.text == "/\(number)")
        }
        #expect(stage.upstream.requests.map(\.head.target) == ["/0", "/1", "/2", "/3"])
        #expect(stage.upstream.connectionCount == (closes ? 4 : 1))
        #expect(try pending(stage, "served") == 3)
    }

    @Test("A request that finds the queue full is 503 at once, says why, and keeps its caller's connection")
    func overflow() throws {
        let turns = Observed(0)
        let stage = try Self.stage(["max_connections: 1", "max_pending: 1"], turns: turns)
        let first = try stage.proxy.connect()
        try first.send(request("GET", "/0"))
        try stage.upstream.waitForHeads()
        let waiting = try queue(stage, ["/1"])
        let refused = try stage.proxy.connect()
        let start = ContinuousClock.now
        for _ in 0..<3 {
            let response = try refused.exchange(request())
            #expect(response.status == 503)
            #expect(response.body.text == "the upstream has as many requests as it may\n")
        }
        #expect(ContinuousClock.now - start < .seconds(30), "those that wait may do so for ten minutes")
        #expect(try pending(stage, "overflow") == 3)
        let replies = try stage.proxy.metrics()[
            "propagating_proxy_local_replies_total", ["reason": "upstream_overflow"]]
        #expect(replies == 3)
        #expect(try stage.collector.spans(3).allSatisfy { $0.kind == .server && $0.tags["error"] != nil })
        turns.change { $0 = 2 }
        for peer in [first] + waiting { #expect(try peer.receiveResponse().status == 200) }
        turns.change { $0 = 1 }
        #expect(try refused.exchange(request()).status == 200)
    }

    @Test("No request waits for longer than it may")
    func timeout() throws {
        let turns = Observed(0)
        let stage = try Self.stage(["max_connections: 1"], turns: turns)
        let quick = try Stage(
            script: { exchange in
                turns.wait(seconds: 300) { $0 > 0 }
                try exchange.reply(text: "ok")
            },
            configure: {
                $0.upstreams["app"]?.append("max_connections: 1")
                $0.upstreams["app"]?.append("timeouts: { pending: 200ms, response: 10m }")
            })
        let first = try quick.proxy.connect()
        try first.send(request())
        try quick.upstream.waitForHeads()
        let response = try quick.proxy.exchange(request())
        #expect(response.status == 503)
        #expect(try pending(quick, "timeout") == 1)
        turns.change { $0 = 9 }
        #expect(try first.receiveResponse().status == 200)
        #expect(try quick.proxy.exchange(request()).status == 200)
        #expect(try stage.proxy.exchange(request()).status == 200)
    }

    @Test("A caller that leaves makes room in the queue")
    func leaves() throws {
        let turns = Observed(0)
        let stage = try Self.stage(["max_connections: 1", "max_pending: 2"], turns: turns)
        let first = try stage.proxy.connect()
        try first.send(request("GET", "/0"))
        try stage.upstream.waitForHeads()
        let waiting = try queue(stage, ["/1", "/2"])
        waiting[0].reset()
        try waitUntil(stage, waiting: 1)
        #expect(try pending(stage, "left") == 1)
        let late = try stage.proxy.connect()
        try late.send(request("GET", "/3"))
        try waitUntil(stage, waiting: 2)
        turns.change { $0 = 3 }
        for peer in [first, waiting[1], late] { #expect(try peer.receiveResponse().status == 200) }
        #expect(stage.upstream.requests.map(\.head.target) == ["/0", "/2", "/3"])
    }

    @Test("A caller whose reset comes together with its request takes no place in the queue")
    func leftBefore() throws {
        let turns = Observed(0)
        let stage = try Self.stage(["max_connections: 1"], turns: turns)
        let first = try stage.proxy.connect()
        try first.send(request("GET", "/0"))
        try stage.upstream.waitForHeads()
        try stage.proxy.program.whileStopped {
            let peer = try stage.proxy.connect()
            try peer.send(request("GET", "/1"))
            peer.reset()
        }
        let late = try stage.proxy.connect()
        try late.send(request("GET", "/2"))
        let name = "propagating_proxy_downstream_connections"
        #expect(try stage.proxy.metrics { $0[name] == 2 && $0["propagating_proxy_upstream_pending"] == 1 }[name] == 2)
        turns.change { $0 = 2 }
        for peer in [first, late] { #expect(try peer.receiveResponse().status == 200) }
        #expect(stage.upstream.requests.map(\.head.target) == ["/0", "/2"])
    }

    @Test("An idle connection of one endpoint does not keep requests from the others, nor is it thrown away")
    func severalEndpoints() throws {
        let turns = Observed(1000)
        let other = try FakeUpstream { try $0.reply(text: "other") }
        let stage = try Self.stage(["max_connections: 1"], turns: turns, further: [other.address])
        for _ in 0..<10 { #expect(try stage.proxy.exchange(request()).status == 200) }
        #expect(stage.upstream.connectionCount + other.connectionCount == 1)
    }

    @Test("An upstream that dies while requests wait for it leaves none of them without an answer")
    func dies() throws {
        let turns = Observed(0)
        let stage = try Self.stage(["max_connections: 1"], turns: turns)
        let first = try stage.proxy.connect()
        try first.send(request("GET", "/0"))
        try stage.upstream.waitForHeads()
        let waiting = try queue(stage, ["/1", "/2", "/3", "/4"])
        stage.upstream.stop()
        #expect(try first.receiveResponse().status == 502)
        for peer in waiting { #expect([502, 503].contains(try peer.receiveResponse().status)) }
        turns.change { $0 = 99 }
    }

    @Test("A proxy that stops at once lets go of the requests that wait")
    func stops() throws {
        let turns = Observed(0)
        let stage = try Self.stage(["max_connections: 1"], turns: turns)
        let first = try stage.proxy.connect()
        try first.send(request("GET", "/0"))
        try stage.upstream.waitForHeads()
        _ = try queue(stage, ["/1", "/2"])
        stage.proxy.program.signal(SIGTERM)
        // Two signals that are pending at once are one.
        #expect(stage.proxy.program.waitForOutput { $0.contains("draining") })
        #expect(stage.proxy.terminate() == 0)
        turns.change { $0 = 99 }
    }

    @Test("Bounds of the process are shared out to its workers, rounded up")
    func shares() throws {
        let turns = Observed(0)
        let stage = try Stage(
            script: { exchange in
                turns.wait(seconds: 300) { $0 > 0 }
                try exchange.reply(text: "ok")
            },
            configure: {
                $0.workers = 2
                $0.upstreams["app"]?.append("timeouts: { response: 10m }")
                $0.upstreams["app"]?.append("max_connections: 3")
                $0.upstreams["app"]?.append("max_pending: 0")
            })
        let peers = try (0..<40).map { _ in try stage.proxy.connect() }
        for peer in peers { try peer.send(request()) }
        _ = try stage.proxy.metrics {
            $0["propagating_proxy_upstream_pending_total", ["outcome": "overflow"]] >= 36
        }
        turns.change { $0 = 99 }
        let statuses = try peers.map { try $0.receiveResponse().status }
        #expect(statuses.filter { $0 == 200 }.count <= 4)
        #expect(statuses.allSatisfy { [200, 503].contains($0) })
    }
}
