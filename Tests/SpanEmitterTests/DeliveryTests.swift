// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Foundation
import TestSupport
import Testing

@testable import SpanEmitter

@Suite("Span delivery", .serialized)
struct DeliveryTests {
    static let paths: [SpanEncoding: String] = [
        .zipkinV1Thrift: "/api/v1/spans", .zipkinV1JSON: "/api/v1/spans", .zipkinV2JSON: "/api/v2/spans",
        .zipkinV2Proto: "/api/v2/spans", .otlpProtobuf: "/v1/traces",
    ]

    static func exporter(_ collector: FakeCollector, _ encoding: SpanEncoding = .zipkinV2JSON) throws
        -> ExporterConfiguration
    {
        let url = try CollectorURL(collector.url(paths[encoding] ?? "/"))
        var exporter = ExporterConfiguration(
            name: "test-0", endpoint: url, encoding: encoding, flushIntervalMilliseconds: 20,
            timeoutMilliseconds: 60_000)
        exporter.firstRetryMilliseconds = 20
        return exporter
    }

    static func push(_ count: Int, into ring: SpanRing, from first: UInt64 = 1) {
        for id in first..<first + UInt64(count) {
            var span = EncodingTests.record()
            span.spanID = .init(id)
            ring.push(&span)
        }
    }

    static func expectBalanced(_ accounting: SpanAccounting) {
        for exporter in accounting.exporters {
            #expect(accounting.started == exporter.exported + exporter.droppedCount + exporter.queued)
        }
    }

    /// Spans pushed, delivered until the collector has answered as told, and the books.
    static func deliver(
        _ count: Int, to collector: FakeCollector, _ configure: (inout ExporterConfiguration) -> Void = { _ in },
        flushWithin: Int = 60_000
    ) throws -> SpanAccounting {
        var exporter = try exporter(collector)
        configure(&exporter)
        let ring = SpanRing()
        let reporter = SpanReporter(exporters: [exporter], names: EncodingTests.names, rings: [ring])
        // Before the start, so that one look takes them all and they are one post.
        push(count, into: ring)
        expectBalanced(reporter.snapshot())
        try reporter.start()
        expectBalanced(reporter.snapshot())
        reporter.wake()
        expectBalanced(reporter.snapshot())
        reporter.stop(flushWithin: flushWithin)
        let accounting = reporter.snapshot()
        expectBalanced(accounting)
        return accounting
    }

    @Test("A span arrives whole in every encoding, marked so that no mesh traces it", arguments: SpanEncoding.allCases)
    func encodings(encoding: SpanEncoding) throws {
        let collector = try FakeCollector()
        defer { collector.stop() }
        let ring = SpanRing()
        let reporter = SpanReporter(
            exporters: [try Self.exporter(collector, encoding)], names: EncodingTests.names, rings: [ring])
        try reporter.start()
        Self.push(3, into: ring)
        let spans = try collector.spans(3)
        reporter.stop(flushWithin: 60_000)
        #expect(spans.map(\.id).sorted() == ["0000000000000001", "0000000000000002", "0000000000000003"])
        #expect(spans.allSatisfy { $0.kind == .server && $0.service == "ExternalProxy" })
        #expect(collector.posts.first?["b3"] == "0")
        #expect(collector.unreadable.isEmpty)
        #expect(reporter.snapshot().exporters.first?.exported == 3)
    }

    @Test("Failures that pass are retried until every span is delivered", arguments: [408, 429, 500, 503])
    func retries(status: Int) throws {
        let collector = try FakeCollector { $0 < 2 ? .init(status: status) : .init() }
        defer { collector.stop() }
        let accounting = try Self.deliver(10, to: collector)
        #expect(accounting.exporters[0].exported == 10)
        #expect(accounting.exporters[0].failures == 2)
    }

    @Test(
        "The wait doubles up to a limit by cause, and half of it is chance",
        arguments: [
            (RetryDelay.Cause.unreachable, [2000...4000, 2500...5000, 2500...5000]),
            (.broken, [2000...4000, 2500...5000, 2500...5000]),
            (.busy, [2000...4000, 4000...8000, 30_000...60_000]),
        ])
    func retryDelay(cause: RetryDelay.Cause, expected: [ClosedRange<Int>]) throws {
        let url = try CollectorURL("http://h/")
        let usual = RetryDelay(ExporterConfiguration(name: "a", endpoint: url, encoding: .zipkinV2JSON))
        #expect(usual.milliseconds(after: 0, cause) == 500...1000)
        #expect(usual.milliseconds(after: 3, .unreachable) == 500...1000, "a refused connect is tried at each flush")
        let slow = RetryDelay(
            ExporterConfiguration(name: "a", endpoint: url, encoding: .zipkinV2JSON, flushIntervalMilliseconds: 5000))
        #expect([2, 3, 1000].map { slow.milliseconds(after: $0, cause) } == expected)
    }

    @Test("An outage says nothing about how busy a collector is after it")
    func outageThenBusy() throws {
        let gone = try FakeCollector()
        let address = gone.address
        var exporter = try Self.exporter(gone)
        gone.stop()
        exporter.firstRetryMilliseconds = 50
        let ring = SpanRing()
        let reporter = SpanReporter(exporters: [exporter], names: EncodingTests.names, rings: [ring])
        try reporter.start()
        Self.push(1, into: ring)
        // Some 13 or more refused connects: doubled 13 times, 50 ms would be the whole minute after 429.
        let deadline = ContinuousClock.now + .seconds(60)
        while (reporter.snapshot().exporters.first?.failures ?? 0) < 13, .now < deadline { usleep(5000) }
        let back = try FakeCollector(on: address) { .init(status: $0 == 0 ? 429 : 202) }
        defer { back.stop() }
        // That minute is at least half of one.
        #expect(try back.spans(1, within: 25).count == 1)
        reporter.stop(flushWithin: 1000)
        Self.expectBalanced(reporter.snapshot())
    }

    @Test("A refused batch is dropped and counted, and the next one is sent")
    func rejected() throws {
        let collector = try FakeCollector { _ in .init(status: 400) }
        defer { collector.stop() }
        let accounting = try Self.deliver(10, to: collector)
        #expect(accounting.exporters[0][.rejected] == 10)
        #expect(accounting.exporters[0].exported == 0)
    }

    @Test("A batch that is too large is halved until it fits")
    func halved() throws {
        let collector = try FakeCollector { $0 < 3 ? .init(status: 413) : .init() }
        defer { collector.stop() }
        let accounting = try Self.deliver(8, to: collector)
        #expect(accounting.exporters[0].exported == 8)
    }

    @Test("A single span that is too large is dropped and counted, the others go on")
    func tooLarge() throws {
        let collector = try FakeCollector { $0 < 3 ? .init(status: 413) : .init() }
        defer { collector.stop() }
        let accounting = try Self.deliver(2, to: collector)
        #expect(accounting.exporters[0][.tooLarge] == 2)
        #expect(accounting.exporters[0].exported == 0)
    }

    @Test("A dead collector fills the queue to its bound; the newest spans are dropped and the rest counted at stop")
    func bounded() throws {
        let collector = try FakeCollector()
        collector.stop()
        let accounting = try Self.deliver(50, to: collector, { $0.queueSpans = 20 }, flushWithin: 100)
        #expect(accounting.exporters[0][.queueFull] == 30)
        #expect(accounting.exporters[0][.shutdown] == 20)
        #expect(accounting.exporters[0].queued == 0)
    }

    @Test("A full ring drops and counts")
    func fullRing() throws {
        let ring = SpanRing(capacity: 8)
        Self.push(10, into: ring)
        #expect(ring.droppedCount == 2)
        #expect(ring.takeAll() == 8)
        #expect(ring.push() == false)
    }

    @Test("Two threads lose, double and reorder nothing")
    func ringLaw() {
        let ring = SpanRing(capacity: 64)
        let done = DispatchSemaphore(value: 0)
        Foundation.Thread.detachNewThread {
            Self.push(20_000, into: ring)
            done.signal()
        }
        var (last, seen): (UInt64, UInt64) = (0, 0)
        var isSorted = true
        var ended = false
        while true {
            let count = ring.waiting(limit: 16).records
            ring.visit(count) { span in
                isSorted = isSorted && span.spanID.value > last
                last = span.spanID.value
                seen += 1
            }
            ring.free(count)
            if count == 0, ended { break }
            if count == 0 { ended = done.wait(timeout: .now() + .microseconds(50)) == .success }
        }
        #expect(isSorted)
        #expect(seen + ring.droppedCount == 20_000)
    }
}

@Suite("Collector addresses")
struct CollectorURLTests {
    @Test("A vendor's path with @ and _ is used as written and never shown")
    func verbatim() throws {
        let url = try CollectorURL("http://dc-hz.aliyuncs.com/adapt_a@b_a@c/api/v1/spans")
        #expect(url.host == "dc-hz.aliyuncs.com" && url.port == 80)
        #expect(url.path.exposed == "/adapt_a@b_a@c/api/v1/spans")
        #expect("\(url)" == "http://dc-hz.aliyuncs.com:80/***")
    }

    @Test("An address with port, literal or no path is understood")
    func forms() throws {
        let literal = try CollectorURL("http://[::1]:9411")
        #expect(literal.host == "::1" && literal.port == 9411 && literal.path.exposed == "/")
    }

    @Test(
        "What is no address of a collector is refused",
        arguments: [
            ("ftp://x/", CollectorURL.Mistake.notHTTP), ("https://u:p@x/", .userinfo), ("http://u:p@x/", .userinfo),
            ("http://", .invalidAuthority), ("http://x:0/", .invalidAuthority), ("http://x/a b", .invalidPath),
        ])
    func refused(text: String, mistake: CollectorURL.Mistake) {
        #expect(throws: mistake) { try CollectorURL(text) }
    }
}
