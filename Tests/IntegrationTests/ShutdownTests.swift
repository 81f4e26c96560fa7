// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("Stopping")
struct ShutdownTests {
    @Test("SIGTERM under keep-alive load fails no request, loses no span and exits 0")
    func drain() throws {
        let stage = try Stage.configured { $0.shutdown = "{ drain_delay: 2s }" }
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
        #expect(stage.proxy.program.waitForExit(seconds: 20) == 0)
        #expect(outcome.wait { $0.finished == callers })
        #expect(outcome.current.failed.isEmpty, "\(outcome.current.failed)")
        let served = outcome.current.served
        #expect(try stage.collector.spans(2 * served).count == 2 * served)
    }

    @Test("An exchange in flight at SIGTERM is finished, however the drain delay stands")
    func inFlight() throws {
        let go = Observed(false)
        let stage = try Stage { exchange in
            go.wait { $0 }
            try exchange.reply(text: "late")
        }
        let peer = try stage.proxy.connect()
        try peer.send(request())
        try stage.upstream.waitForHeads()
        stage.proxy.program.signal(SIGTERM)
        #expect(stage.proxy.program.waitForExit(seconds: 0.3) == nil)
        go.change { $0 = true }
        let response = try peer.receiveResponse()
        #expect(response.body.text == "late")
        #expect(stage.proxy.program.waitForExit(seconds: 10) == 0)
        #expect(try stage.collector.spans(2).count == 2)
    }

    @Test("A connection whose response had begun before SIGTERM does not hold up the end")
    func keepAliveAfterFinish() throws {
        let go = Observed(false)
        let stage = try Stage { exchange in
            try exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla")
            go.wait { $0 }
            try exchange.send("te")
        }
        let peer = try stage.proxy.connect()
        try peer.send(request())
        _ = try peer.receive(through: Array("la".utf8))
        stage.proxy.program.signal(SIGTERM)
        #expect(stage.proxy.program.waitForExit(seconds: 0.3) == nil)
        go.change { $0 = true }
        #expect(try peer.receive(exactly: 2) == Array("te".utf8))
        #expect(stage.proxy.program.waitForExit(seconds: 15) == 0)
    }

    @Test("Once nothing is accepted any more, a new connection is refused and not left waiting")
    func refusesWhileFinishing() throws {
        let go = Observed(false)
        let stage = try Stage { exchange in
            if exchange.head.target == "/held" { go.wait(seconds: 30) { $0 } }
            try exchange.reply(text: "late")
        }
        let address = try stage.proxy.address()
        let peer = try stage.proxy.connect()
        try peer.send(request("GET", "/held"))
        try stage.upstream.waitForHeads()
        stage.proxy.program.signal(SIGTERM)
        let deadline = ContinuousClock.now + .seconds(20)
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
        #expect(stage.proxy.program.waitForExit(seconds: 10) == 0)
    }

    @Test("Idle connections do not hold up the end")
    func idle() throws {
        let stage = try Stage()
        let peers = try (0..<20).map { _ in try stage.proxy.connect() }
        #expect(try peers[0].exchange(request()).status == 200)
        let start = ContinuousClock.now
        #expect(stage.proxy.terminate() == 0)
        #expect(ContinuousClock.now - start < .seconds(5))
        #expect(peers.allSatisfy { $0.isClosed() })
    }

    @Test("While it drains, /ready says no and /live says yes, and requests are still served")
    func drainDelay() throws {
        let stage = try Stage.configured { $0.shutdown = "{ drain_delay: 5s }" }
        #expect(try stage.proxy.get("/ready", listener: "admin").status == 200)
        stage.proxy.program.signal(SIGTERM)
        let deadline = ContinuousClock.now + .seconds(3)
        var ready = 200
        while ready == 200 && .now < deadline { ready = try stage.proxy.get("/ready", listener: "admin").status }
        #expect(ready == 503)
        #expect(try stage.proxy.get("/live", listener: "admin").status == 200)
        #expect(try stage.proxy.exchange(request()).status == 200)
        #expect(stage.proxy.program.waitForExit(seconds: 15) == 0)
    }

    @Test("A second signal stops now", arguments: [SIGTERM, SIGINT])
    func secondSignal(signal: Int32) throws {
        let stage = try Stage(
            script: { _ = $0.peer.isClosed(within: 30) }, configure: { $0.shutdown = "{ drain_delay: 20s }" })
        let peer = try stage.proxy.connect()
        try peer.send(request())
        try stage.upstream.waitForHeads()
        stage.proxy.program.signal(SIGTERM)
        #expect(stage.proxy.program.waitForExit(seconds: 0.3) == nil)
        stage.proxy.program.signal(signal)
        #expect(stage.proxy.program.waitForExit(seconds: 15) != nil)
    }

    @Test("A collector that is gone holds up the end no longer than the flush time")
    func flushIsBounded() throws {
        let stage = try Stage()
        stage.collector.answer { _ in FakeCollector.Answer(delayMilliseconds: 20_000) }
        #expect(try stage.proxy.exchange(request()).status == 200)
        let start = ContinuousClock.now
        #expect(stage.proxy.terminate() == 0)
        #expect(ContinuousClock.now - start < .seconds(5))
    }
}
