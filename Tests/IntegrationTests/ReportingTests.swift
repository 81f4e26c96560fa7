// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// One way of posting spans.
struct Encoding: Sendable, CustomTestStringConvertible {
    let exporter: String
    let path: String
    let contentType: String

    var testDescription: String { exporter }

    static let all = [
        Encoding(exporter: "v1-thrift", path: "/api/v1/spans", contentType: "application/x-thrift"),
        Encoding(exporter: "v1-json", path: "/api/v1/spans", contentType: "application/json"),
        Encoding(exporter: "v2-json", path: "/api/v2/spans", contentType: "application/json"),
        Encoding(exporter: "v2-proto", path: "/api/v2/spans", contentType: "application/x-protobuf"),
        Encoding(exporter: "otlp", path: "/v1/traces", contentType: "application/x-protobuf"),
    ]

    func line(_ collector: FakeCollector) -> String {
        exporter == "otlp"
            ? "otlp: { endpoint: \"http://\(collector.address)\" }"
            : "zipkin: { endpoint: \"\(collector.url(path))\", encoding: \(exporter) }"
    }
}

@Suite("Reporting")
struct ReportingTests {
    @Test("Two linked spans arrive in every encoding, at the right path, with the right type", arguments: Encoding.all)
    func encodings(_ encoding: Encoding) throws {
        let collector = try FakeCollector()
        let stage = try Stage.configured { $0.exporters = [encoding.line(collector)] }
        let received = try stage.forward(request("GET", "/a/GetEndpoint?secret=1")).received
        let spans = try collector.spans(2)
        #expect(collector.unreadable.isEmpty)
        let server = try #require(spans.first { $0.kind == .server })
        let client = try #require(spans.first { $0.kind == .client })
        #expect(client.parentID == server.id && server.parentID == nil)
        #expect(server.traceID == received["x-b3-traceid"] && client.id == received["x-b3-spanid"])
        #expect(server.service == "edge" && client.service == "edge")
        #expect(server.durationMicroseconds > 0 && client.durationMicroseconds > 0)
        #expect(client.durationMicroseconds <= server.durationMicroseconds)
        #expect(!spans.contains { $0.description.contains("secret") })
        let post = collector.posts[0]
        #expect(post.head.startLine == "POST \(encoding.path) HTTP/1.1")
        #expect(post["content-type"] == encoding.contentType)
        #expect(post["b3"] == "0")
    }

    @Test("The endpoint's path is used verbatim, as Alibaba Cloud's need it, with the headers given")
    func verbatimPath() throws {
        let path = "/adapt_abc123@53df7ad2afe8301_x@53df7ad2afe8301/api/v2/spans"
        let stage = try Stage()
        let proxy = try ProxyProcess(
            configuration: {
                var text = ConfigurationText(upstream: stage.upstream.address)
                text.exporters = [
                    "zipkin: { endpoint: \"\(stage.collector.url(path))\", encoding: v2-json, headers: { Authorization: \"Bearer t0ken\" } }"
                ]
                return text.yaml
            }())
        #expect(try proxy.exchange(request()).status == 200)
        _ = try stage.collector.spans(2)
        #expect(stage.collector.posts[0].head.target == path)
        #expect(stage.collector.posts[0]["authorization"] == "Bearer t0ken")
        #expect(!proxy.log.contains("adapt_") && !proxy.log.contains("t0ken"))
        let metrics = try proxy.metrics().description
        #expect(!metrics.contains("adapt_") && !metrics.contains("t0ken"))
    }

    @Test("Several exporters each get every span, and one that is down does not hold up the other")
    func severalExporters() throws {
        let down = try FakeCollector()
        down.stop()
        let second = try FakeCollector()
        let stage = try Stage()
        let proxy = try ProxyProcess(
            configuration: {
                var text = ConfigurationText(upstream: stage.upstream.address)
                text.exporters = [
                    Encoding.all[2].line(down), Encoding.all[4].line(second), Encoding.all[0].line(stage.collector),
                ]
                return text.yaml
            }())
        for _ in 0..<10 { #expect(try proxy.exchange(request()).status == 200) }
        #expect(try second.spans(20).count == 20)
        #expect(try stage.collector.spans(20).count == 20)
    }

    @Test(
        "Whatever the collector does, every span is exported, dropped for a reason or queued, at every scrape",
        arguments: [
            ("answers", [202]), ("fails at first", [500, 503, 202]), ("is busy", [429, 202]),
            ("refuses large posts", [413, 413, 202]),
            ("rejects", [400]), ("is down", []),
        ] as [(String, [Int])])
    func accounting(name: String, statuses: [Int]) throws {
        let stage = try Stage()
        if statuses.isEmpty { stage.collector.stop() }
        stage.collector.answer {
            FakeCollector.Answer(status: statuses.isEmpty ? 500 : statuses[min($0, statuses.count - 1)])
        }
        let peer = try stage.proxy.connect()
        for round in 0..<10 {
            try peer.send(String(repeating: request(), count: 50))
            for _ in 0..<50 { #expect(try peer.receiveResponse().status == 200) }
            let spans = SpanCounts(try stage.proxy.metrics())
            #expect(spans.started == spans.exported + spans.dropped + spans.queued, "\(name), round \(round): \(spans)")
        }
        if statuses.last == 202 {
            let metrics = try stage.proxy.metrics { SpanCounts($0).exported == 1000 }
            let spans = SpanCounts(metrics)
            #expect(spans.started == 1000 && spans.exported == 1000, "\(name): \(spans)")
            #expect(stage.collector.spans.count == 1000)
            #expect(Set(stage.collector.spans.map(\.id)).count == 1000)
        } else if statuses == [400] {
            let spans = SpanCounts(try stage.proxy.metrics { SpanCounts($0).dropped == 1000 })
            #expect(spans.dropped == 1000, "\(spans)")
        }
    }

    @Test("A collector that was down gets what was queued once it is back")
    func recovers() throws {
        let held = try FakeCollector()
        let address = held.address
        held.stop()
        let stage = try Stage()
        let proxy = try ProxyProcess(
            configuration: {
                var text = ConfigurationText(upstream: stage.upstream.address)
                text.exporters = ["zipkin: { endpoint: \"http://\(address)/api/v2/spans\", encoding: v2-json }"]
                return text.yaml
            }())
        for _ in 0..<10 { #expect(try proxy.exchange(request()).status == 200) }
        _ = try proxy.metrics { $0.samples.contains { $0.name.contains("fail") && $0.value > 0 } }
        let back = try FakeCollector(on: address)
        #expect(try back.spans(20, within: 30).count == 20)
    }

    @Test("A collector that never answers slows no request down")
    func silentCollector() throws {
        let stage = try Stage.configured {
            $0.exporters = $0.exporters.map { $0.replacing("v2-json", with: "v2-json, timeout: 10m") }
        }
        stage.collector.answer { _ in FakeCollector.Answer(delayMilliseconds: 600_000) }
        let peer = try stage.proxy.connect()
        var slowest = Duration.zero
        for _ in 0..<300 {
            let start = ContinuousClock.now
            #expect(try peer.exchange(request()).status == 200)
            slowest = max(slowest, ContinuousClock.now - start)
        }
        #expect(slowest < .seconds(30), "the collector takes ten minutes")
    }
}

/// The sums of the span counters over all exporters.
struct SpanCounts: CustomStringConvertible {
    let started: Int
    let exported: Int
    let dropped: Int
    let queued: Int

    init(_ metrics: Metrics) {
        started = metrics["propagating_proxy_spans_started_total"]
        exported = metrics["propagating_proxy_spans_exported_total"]
        dropped = metrics["propagating_proxy_spans_dropped_total"]
        queued = metrics["propagating_proxy_spans_queued"]
    }

    var description: String { "started \(started), exported \(exported), dropped \(dropped), queued \(queued)" }
}
