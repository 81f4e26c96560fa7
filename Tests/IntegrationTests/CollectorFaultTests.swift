// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Fault 15 of docs/conformance.md: a collector that is down, slow, or answers 5xx, 413 or 429.
@Suite("Collector faults")
struct CollectorFaultTests {
    private func proxy(_ upstream: FakeUpstream, _ address: SocketAddress, _ options: String = "") throws
        -> ProxyProcess
    {
        var text = ConfigurationText(upstream: upstream.address)
        text.exporters = ["zipkin: { endpoint: \"http://\(address)/api/v2/spans\", encoding: v2-json\(options) }"]
        return try ProxyProcess(configuration: text.yaml)
    }

    private func send(_ count: Int, _ proxy: ProxyProcess) throws {
        let peer = try proxy.connect()
        for _ in 0..<count { #expect(try peer.exchange(request()).status == 200) }
    }

    /// Milliseconds that 99 of 100 requests stay below.
    private func slowest99(of count: Int, _ proxy: ProxyProcess) throws -> Double {
        let peer = try proxy.connect()
        let times = try (0..<count).map { _ -> Double in
            let start = ContinuousClock.now
            let response = try peer.exchange(request())
            #expect(response.status == 200)
            return (ContinuousClock.now - start) / .milliseconds(1)
        }
        return times.sorted()[count * 99 / 100]
    }

    private static let faults: [(String, @Sendable (Int) -> FakeCollector.Answer)] = [
        ("is slow", { _ in .init(delayMilliseconds: 60_000) }), ("answers 503", { _ in .init(status: 503) }),
        ("answers 413", { _ in .init(status: 413) }), ("answers 429", { _ in .init(status: 429) }),
        ("answers 400", { _ in .init(status: 400) }),
    ]

    @Test("A collector that fails costs requests no time", arguments: faults.map(\.0) + ["is down"])
    func latency(fault: String) throws {
        let upstream = try FakeUpstream()
        let collector = try FakeCollector()
        let proxy = try proxy(upstream, collector.address, ", flush_interval: 10ms, timeout: 10m")
        let usual = try slowest99(of: 400, proxy)
        if let rule = Self.faults.first(where: { $0.0 == fault })?.1 {
            collector.answer(rule)
        } else {
            collector.stop()
        }
        // A tenth of a second is what other tests on the machine may take; a wait for a collector would be longer. Should
        // the machine take more: a collector that costs time does so each time.
        let most = 3 * usual + 100
        var during: [Double] = []
        repeat {
            during.append(try slowest99(of: 400, proxy))
        } while during.count < 10 && !during.contains(where: { $0 < most })
        #expect(during.contains { $0 < most }, "99 of 100 below \(during) ms, usually \(usual) ms")
        let metrics = try proxy.metrics { $0["propagating_proxy_span_posts_failed_total"] > 0 || fault == "is slow" }
        #expect(metrics["propagating_proxy_span_posts_failed_total"] > 0 || fault == "is slow")
    }

    @Test(
        "A queue that is full, in spans or in bytes, drops the newest spans and counts them",
        arguments: [("queue_spans: 100", 100), ("queue_bytes: 64KiB", 65_536 / 300)])
    func bounds(option: String, most: Int) throws {
        let upstream = try FakeUpstream()
        let gone = try FakeCollector()
        gone.stop()
        let proxy = try proxy(upstream, gone.address, ", \(option)")
        try send(300, proxy)
        // Spans that the reporter has yet to take count as queued, too, and are dropped as it takes them: so what the
        // bound kept is what comes once the collector is back, not what was queued at any one scrape.
        let down = try SpanCounts(proxy.metrics { SpanCounts($0).started == 600 && SpanCounts($0).queued <= most })
        #expect(down.started == 600 && down.exported == 0 && down.queued <= most, "\(down)")
        let back = try FakeCollector(on: gone.address)
        let spans = try SpanCounts(proxy.metrics { SpanCounts($0).queued == 0 })
        #expect(spans.exported > 20 && spans.exported <= most, "\(spans)")
        #expect(spans.exported + spans.dropped == 600 && spans.queued == 0, "\(spans)")
        let kept = try back.spans(spans.exported)
        #expect(kept.count == spans.exported, "\(spans)")
        let first = try upstream.requests(300).prefix(10).compactMap { $0["x-b3-traceid"] }
        #expect(Set(kept.map(\.traceID)).isSuperset(of: first), "the oldest spans are kept")
    }

    @Test("A post answered 413 is sent again in halves, with nothing lost and nothing double")
    func halves() throws {
        let upstream = try FakeUpstream()
        let collector = try FakeCollector { .init(status: $0 == 0 ? 413 : 202) }
        let proxy = try proxy(upstream, collector.address, ", flush_interval: 2s")
        try send(20, proxy)
        let spans = try collector.spans(40)
        #expect(Set(spans.map { "\($0.traceID) \($0.id)" }).count == 40)
        let sizes = collector.posts.map(\.body.bytes.count)
        #expect(sizes.count >= 3)
        #expect(sizes.dropFirst().allSatisfy { $0 < sizes[0] * 6 / 10 || sizes.count > 3 }, "\(sizes)")
    }

    @Test("After 429 the exporter waits as long as Retry-After says")
    func retryAfter() throws {
        let upstream = try FakeUpstream()
        let times = Observed<[ContinuousClock.Instant]>([])
        let collector = try FakeCollector { number in
            times.change { $0.append(.now) }
            return number == 0 ? .init(status: 429, fields: ["Retry-After: 3"]) : .init()
        }
        let proxy = try proxy(upstream, collector.address, ", flush_interval: 50ms")
        try send(1, proxy)
        #expect(try collector.spans(2).count == 2)
        let posts = times.current
        #expect(posts.count >= 2 && posts[1] - posts[0] >= .seconds(2.9), "\(posts)")
    }

    @Test("A collector that was away gets all that was queued within a flush of its return")
    func recovery() throws {
        let upstream = try FakeUpstream()
        let gone = try FakeCollector()
        gone.stop()
        let proxy = try proxy(upstream, gone.address)
        try send(50, proxy)
        // By the ninth the back-off alone would have grown to minutes.
        let name = "propagating_proxy_span_posts_failed_total"
        #expect(try proxy.metrics(within: 60) { $0[name] >= 9 }[name] >= 9)
        let back = try FakeCollector(on: gone.address)
        #expect(try back.spans(100).count == 100, "promised within 1 s")
    }
}
