// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Minutes of load; `LONG_TESTS=1 scripts/test --filter LoadTests` runs them and prints the figures.
@Suite(
    "Under load", .serialized,
    .enabled(if: ProcessInfo.processInfo.environment["LONG_TESTS"] != nil, "takes minutes; LONG_TESTS=1 runs it"))
struct LoadTests {
    @Test(
        "Whatever the collector does under load, spans are accounted for, callers do not feel it, and SIGTERM fails nobody"
    )
    func collectorTroubles() throws {
        let upstream = try FakeUpstream(records: false, script: Load.reply)
        var collector: FakeCollector? = try FakeCollector(onlyCounts: true)
        let address = try #require(collector).address
        var text = ConfigurationText(upstream: upstream.address)
        text.shutdown = "{ drain_delay: 1s }"
        text.exporters = ["zipkin: { endpoint: \"http://\(address)/api/v2/spans\", encoding: v2-json }"]
        let proxy = try ProxyProcess(configuration: text.yaml)
        let load = try Load(on: proxy.address(), callers: 8)
        var received = 0

        func phase(_ name: String, seconds: Double) throws {
            load.forgetSlowest()
            let before = load.served
            let end = ContinuousClock.now + .seconds(seconds)
            while .now < end {
                let spans = SpanCounts(try proxy.metrics())
                #expect(spans.started == spans.exported + spans.dropped + spans.queued, "\(name): \(spans)")
                usleep(200_000)
            }
            let counts = SpanCounts(try proxy.metrics())
            print("load: \(name): \(load.served - before) requests, slowest \(load.slowestMilliseconds) ms; \(counts)")
        }
        func answers(_ status: Int, delay: UInt32 = 0) {
            collector?.answer { _ in FakeCollector.Answer(status: status, delayMilliseconds: delay) }
        }

        try phase("collector up", seconds: 5)
        let usual = load.slowestMilliseconds
        collector?.stop()
        received += collector?.count ?? 0
        collector = nil
        try phase("collector down", seconds: 10)
        #expect(load.slowestMilliseconds < usual + 50)
        collector = try FakeCollector(on: address, onlyCounts: true)
        for (status, delay) in [(202, 1500), (500, 0), (429, 0), (413, 0)] as [(Int, UInt32)] {
            answers(status, delay: delay)
            try phase("collector answers \(status) after \(delay) ms", seconds: 4)
            #expect(load.slowestMilliseconds < usual + 50)
        }
        answers(202)
        repeat { try phase("collector up again", seconds: 5) } while load.served < 200_000

        let last = SpanCounts(try proxy.metrics())
        proxy.program.signal(SIGTERM)
        #expect(proxy.program.waitForExit(seconds: 40) == 0)
        load.waitForEnd()
        received += collector?.count ?? 0
        print(
            "load: \(load.served) requests served, \(load.failures.count) failed, \(received) spans received; before SIGTERM \(last)"
        )
        #expect(load.failures.isEmpty, "\(load.failures.prefix(5))")
        #expect(received <= 2 * load.served && received >= last.exported)
    }

    @Test("While the collector keeps up, no span of 200,000 requests is lost")
    func nothingLost() throws {
        let collector = try FakeCollector(onlyCounts: true)
        let upstream = try FakeUpstream(records: false, script: Load.reply)
        var text = ConfigurationText(upstream: upstream.address)
        text.exporters = ["zipkin: { endpoint: \"\(collector.url("/api/v2/spans"))\", encoding: v2-json }"]
        let proxy = try ProxyProcess(configuration: text.yaml)
        let load = try Load(on: proxy.address(), callers: 8, limit: 200_000)
        load.waitForEnd()
        let counts = SpanCounts(try proxy.metrics { SpanCounts($0).queued == 0 })
        print("load: \(load.served) requests; \(counts); \(collector.count) spans received")
        #expect(load.failures.isEmpty, "\(load.failures.prefix(5))")
        #expect(load.served == 200_000)
        #expect(counts.exported == 400_000 && collector.count == 400_000)
    }

    @Test("Two workers under load for a minute lose and mix nothing")
    func twoWorkers() throws {
        let upstream = try FakeUpstream(records: false, script: Load.reply)
        var text = ConfigurationText(upstream: upstream.address)
        text.workers = 2
        let proxy = try ProxyProcess(configuration: text.yaml)
        let load = try Load(on: proxy.address(), callers: 16)
        Thread.sleep(forTimeInterval: 60)
        load.stop()
        print("load: two workers: \(load.served) requests, \(load.failures.count) failed")
        #expect(load.failures.isEmpty, "\(load.failures.prefix(5))")
    }
}

/// Callers that each send one request after the other, every one with an id that must come back.
final class Load: Sendable {
    private struct State: Sendable {
        var served = 0
        var slowest = Duration.zero
        var failures: [String] = []
        var running: Int
        var stopping = false
    }

    private let state: Observed<State>

    static let reply: FakeUpstream.Script = { try $0.reply(fields: ["X-Echo: \($0.head["x-id"] ?? "")"], text: "ok") }

    init(on address: SocketAddress, callers: Int, limit: Int = .max) throws {
        let state = Observed(State(running: callers))
        self.state = state
        for caller in 0..<callers {
            Thread.detachNewThread {
                do {
                    try Self.call(address, caller: caller, share: limit / callers, state)
                } catch {
                    state.change { $0.failures.append("caller \(caller): \(error)") }
                }
                state.change { $0.running -= 1 }
            }
        }
    }

    var served: Int { state.current.served }
    var failures: [String] { state.current.failures }
    var slowestMilliseconds: Int { Int(state.current.slowest / .milliseconds(1)) }

    func forgetSlowest() { state.change { $0.slowest = .zero } }
    func waitForEnd() { state.wait(seconds: 600) { $0.running == 0 } }

    func stop() {
        state.change { $0.stopping = true }
        waitForEnd()
    }

    private static func call(_ address: SocketAddress, caller: Int, share: Int, _ state: Observed<State>) throws {
        let peer = try Peer(to: address)
        for round in 0..<share {
            if state.current.stopping { return }
            let id = "\(caller)-\(round)"
            let start = ContinuousClock.now
            let response = try peer.exchange(request("GET", "/", ["X-Id: \(id)"]))
            let took = ContinuousClock.now - start
            state.change {
                $0.served += 1
                $0.slowest = max($0.slowest, took)
                if response.status != 200 || response["x-echo"] != id { $0.failures.append("\(id): \(response.head)") }
            }
            // The proxy drains; a caller told to go goes elsewhere.
            if response["connection"]?.lowercased() == "close" { return }
        }
    }
}
