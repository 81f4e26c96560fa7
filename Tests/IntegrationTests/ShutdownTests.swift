// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("Stopping")
struct ShutdownTests {
    /// No deadline of its own ends anything while a test looks.
    private static func lastLong(_ text: inout ConfigurationText) {
        text.shutdown = "{ drain_delay: 0s, grace: 10m, flush: 60s }"
        text.listener = ["timeouts: { request_head: 10m, keep_alive: 10m }"]
        text.upstreams["app"]?.append("timeouts: { response: 10m, idle: 10m }")
    }

    @Test("SIGTERM under keep-alive load fails no request, loses no span and exits 0")
    func drain() throws {
        // So long may a caller stand still between two requests.
        let stage = try Stage.configured { $0.shutdown = "{ drain_delay: 10s, flush: 60s }" }
        let address = try stage.proxy.address()
        let outcome = Observed((served: 0, failed: [String](), finished: 0))
        let callers = 4
        for _ in 0..<callers {
            Thread.detachNewThread {
                do {
                    let peer = try Peer(to: address)
                    while true {
                        let response = try peer.exchange(request())
                        outcome.change { $0.served += 1 }
                        if response.status != 200 { outcome.change { $0.failed.append("\(response.status)") } }
                        // Told to go, a caller goes: to another instance, as its load balancer says.
                        if response["connection"]?.lowercased() == "close" { break }
                    }
                } catch {
                    outcome.change { $0.failed.append("\(error)") }
                }
                outcome.change { $0.finished += 1 }
            }
        }
        outcome.wait { $0.served > 200 }
        stage.proxy.program.signal(SIGTERM)
        #expect(stage.proxy.program.waitForExit(seconds: 120) == 0)
        #expect(outcome.wait { $0.finished == callers })
        #expect(outcome.current.failed.isEmpty, "\(outcome.current.failed)")
        let served = outcome.current.served
        #expect(try stage.collector.spans(2 * served).count == 2 * served)
    }

    @Test("An exchange in flight at SIGTERM is finished, however the drain delay stands")
    func inFlight() throws {
        let go = Observed(false)
        let stage = try Stage(
            script: { exchange in
                go.wait(seconds: 300) { $0 }
                try exchange.reply(text: "late")
            }, configure: Self.lastLong)
        let peer = try stage.proxy.connect()
        try peer.send(request())
        try stage.upstream.waitForHeads()
        stage.proxy.program.signal(SIGTERM)
        #expect(stage.proxy.program.waitForExit(seconds: 0.3) == nil)
        go.change { $0 = true }
        let response = try peer.receiveResponse()
        #expect(response.body.text == "late")
        #expect(stage.proxy.program.waitForExit() == 0)
        #expect(try stage.collector.spans(2).count == 2)
    }

    @Test("A connection whose response had begun before SIGTERM does not hold up the end")
    func keepAliveAfterFinish() throws {
        let go = Observed(false)
        let stage = try Stage(
            script: { exchange in
                try exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla")
                go.wait(seconds: 300) { $0 }
                try exchange.send("te")
            }, configure: Self.lastLong)
        let peer = try stage.proxy.connect()
        try peer.send(request())
        _ = try peer.receive(through: Array("la".utf8))
        stage.proxy.program.signal(SIGTERM)
        #expect(stage.proxy.program.waitForExit(seconds: 0.3) == nil)
        go.change { $0 = true }
        #expect(try peer.receive(exactly: 2) == Array("te".utf8))
        #expect(stage.proxy.program.waitForExit() == 0)
    }

    @Test("Once nothing is accepted any more, a new connection is refused and not left waiting")
    func refusesWhileFinishing() throws {
        let go = Observed(false)
        // Nobody else listens there once the proxy does not.
        let address = try SocketAddress.reserved()
        let stage = try Stage(
            script: { exchange in
                if exchange.head.target == "/held" { go.wait(seconds: 300) { $0 } }
                try exchange.reply(text: "late")
            },
            configure: {
                Self.lastLong(&$0)
                $0.address = "\(address)"
            })
        let peer = try stage.proxy.connect()
        try peer.send(request("GET", "/held"))
        try stage.upstream.waitForHeads()
        stage.proxy.program.signal(SIGTERM)
        let deadline = ContinuousClock.now + .seconds(60)
        var refused = false
        while !refused, .now < deadline {
            do {
                _ = try Peer(to: address)
                usleep(1000)
            } catch SocketError.failed(_, ECONNREFUSED) {
                refused = true
            } catch {}
        }
        #expect(refused)
        go.change { $0 = true }
        #expect(try peer.receiveResponse().body.text == "late")
        #expect(stage.proxy.program.waitForExit() == 0)
    }

    @Test("Idle connections do not hold up the end")
    func idle() throws {
        let stage = try Stage.configured(Self.lastLong)
        let peers = try (0..<20).map { _ in try stage.proxy.connect() }
        #expect(try peers[0].exchange(request()).status == 200)
        #expect(stage.proxy.terminate() == 0)
        #expect(peers.allSatisfy { $0.isClosed() })
    }

    @Test("While it drains, /ready says no and /live says yes, and requests are still served")
    func drainDelay() throws {
        let stage = try Stage.configured { $0.shutdown = "{ drain_delay: 10m }" }
        #expect(try stage.proxy.get("/ready", listener: "admin").status == 200)
        stage.proxy.program.signal(SIGTERM)
        let deadline = ContinuousClock.now + .seconds(30)
        var ready = 200
        while ready == 200 && .now < deadline { ready = try stage.proxy.get("/ready", listener: "admin").status }
        #expect(ready == 503)
        #expect(try stage.proxy.get("/live", listener: "admin").status == 200)
        #expect(try stage.proxy.exchange(request()).status == 200)
        #expect(stage.proxy.program.isRunning)
    }

    @Test("A second signal stops now", arguments: [SIGTERM, SIGINT])
    func secondSignal(signal: Int32) throws {
        let stage = try Stage(
            script: { _ = $0.peer.isClosed(within: 600) },
            configure: {
                Self.lastLong(&$0)
                $0.shutdown = "{ drain_delay: 10m }"
            })
        let peer = try stage.proxy.connect()
        try peer.send(request())
        try stage.upstream.waitForHeads()
        stage.proxy.program.signal(SIGTERM)
        // Two signals that are pending at once are one.
        #expect(stage.proxy.program.waitForOutput { $0.contains("draining") })
        #expect(stage.proxy.program.waitForExit(seconds: 0.3) == nil)
        stage.proxy.program.signal(signal)
        #expect(stage.proxy.program.waitForExit() != nil)
    }

    @Test("A collector that is gone holds up the end no longer than the flush time")
    func flushIsBounded() throws {
        let stage = try Stage.configured {
            $0.exporters = $0.exporters.map { $0.replacing("v2-json", with: "v2-json, timeout: 10m") }
        }
        stage.collector.answer { _ in FakeCollector.Answer(delayMilliseconds: 600_000) }
        #expect(try stage.proxy.exchange(request()).status == 200)
        #expect(stage.proxy.terminate() == 0)
    }
}
