// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Propagation
import SpanEmitter
import TestSupport
import Testing

@testable import PropagatingProxy

@Suite("Metrics")
struct MetricsTests {
    private let names = MetricNames(
        routes: ["front \"page\"\\\n"], upstreams: ["app", "gateway"], upstreamErrors: ["timeout", "reset"],
        localReplies: ["no_route", "limit"])

    private let spans = SpanFigures(
        started: 10,
        exporters: [
            SpanFigures.Exporter(
                name: "zipkin-0", exported: 5, dropped: [("ring_full", 2), ("queue_full", 0)], queued: 3, posts: 4,
                failures: 1)
        ])

    private func page(_ workers: WorkerMetrics...) -> String {
        String(decoding: MetricsPage.render(workers, spans: spans, names: names, logLinesDropped: 3), as: UTF8.self)
    }

    @Test("Each family has HELP and TYPE once, before its samples, and a name of ours")
    func format() {
        var families: [String] = []
        for line in page(WorkerMetrics(names)).split(separator: "\n") {
            if line.hasPrefix("# HELP ") {
                families.append(String(line.split(separator: " ")[2]))
            } else if line.hasPrefix("# TYPE ") {
                #expect(String(line.split(separator: " ")[2]) == families.last)
            } else {
                #expect(line.hasPrefix(families.last ?? "?"), "\(line)")
            }
        }
        #expect(Set(families).count == families.count)
        #expect(families.allSatisfy { $0.hasPrefix("propagating_proxy_") })
    }

    @Test("Figures are the sum over the workers")
    func sums() throws {
        let first = WorkerMetrics(names)
        let second = WorkerMetrics(names)
        first.requestEnded(route: 1, status: 200, microseconds: 700)
        second.requestEnded(route: 1, status: 204, microseconds: 1_000_001)
        second.requestEnded(route: 0, status: 404, microseconds: 0)
        second.requestEnded(route: 0, status: 0, microseconds: 0)
        let text = page(first, second)
        let route = #"route="front \"page\"\\\n""#
        #expect(text.contains("\npropagating_proxy_requests_total{\(route),status=\"2xx\"} 2\n"))
        #expect(text.contains("\npropagating_proxy_requests_total{route=\"none\",status=\"4xx\"} 1\n"))
        #expect(text.contains("\npropagating_proxy_requests_total{route=\"none\",status=\"none\"} 1\n"))
        #expect(text.contains("\npropagating_proxy_request_duration_seconds_sum{\(route)} 1.000701\n"))
        #expect(text.contains("\npropagating_proxy_log_lines_dropped_total 3\n"))
        #expect(text.contains("\npropagating_proxy_workers 2\n"))
    }

    @Test("gRPC calls are counted by route and status, and routes without any have no lines")
    func calls() throws {
        let first = WorkerMetrics(names)
        let second = WorkerMetrics(names)
        first.grpcEnded(route: 1, .ok)
        second.grpcEnded(route: 1, .ok)
        second.grpcEnded(route: 1, .unauthenticated)
        second.grpcEnded(route: 1, .missing)
        second.grpcEnded(route: 2, .ok)
        let lines = page(first, second).split(separator: "\n").filter { $0.hasPrefix("propagating_proxy_grpc") }
        let route = #"propagating_proxy_grpc_requests_total{route="front \"page\"\\\n","#
        #expect(lines == [#"\#(route)grpc_status="OK"} 2"#, #"\#(route)grpc_status="UNAUTHENTICATED"} 1"#])
    }

    @Test("The histogram is cumulative, a bound belongs to its bucket, and +Inf is the count")
    func histogram() {
        let worker = WorkerMetrics(names)
        for microseconds: UInt64 in [500, 501, 10_000_000, 10_000_001, .max / 4] {
            worker.requestEnded(route: 1, status: 200, microseconds: microseconds)
        }
        let lines = page(worker).split(separator: "\n").filter { $0.contains("_bucket{route=\"front") }
        #expect(
            lines.map { $0.split(separator: " ").last } == [
                "1", "2", "2", "2", "2", "2", "2", "2", "2", "2", "2", "2", "2", "3", "5",
            ])
        #expect(
            lines.compactMap { $0.split(separator: "le=\"").last?.split(separator: "\"").first } == [
                "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5",
                "10",
                "+Inf",
            ])
    }

    @Test("Connections, attempts and bytes are counted")
    func connections() throws {
        let worker = WorkerMetrics(names)
        worker.connectionAccepted()
        worker.connectionRefused()
        worker.upstreamConnection(isReused: false)
        worker.upstreamConnection(isReused: true)
        worker.upstreamConnection(isReused: true)
        worker.upstreamFailed(2, reason: 1)
        worker.replayed()
        worker.transferred(requestBytes: 10, responseBytes: 20)
        for open in [9, 5] {
            worker.downstreams(open: 4)
            worker.gauges(
                upstreamsOpen: open, upstreamsIdle: 3, buffersInUse: 2, buffersRefused: 7,
                acceptsRefused: 6)
        }
        let metrics = try Metrics(metricsText(worker))
        let prefix = "propagating_proxy_"
        #expect(metrics[prefix + "downstream_connections"] == 4)
        #expect(metrics[prefix + "downstream_connections_total"] == 1)
        #expect(metrics[prefix + "downstream_connections_refused_total", ["reason": "connection_limit"]] == 1)
        #expect(metrics[prefix + "downstream_connections_refused_total", ["reason": "descriptors"]] == 6)
        #expect(metrics[prefix + "upstream_connections", ["state": "idle"]] == 3)
        #expect(metrics[prefix + "upstream_connections", ["state": "active"]] == 2)
        #expect(metrics[prefix + "upstream_connections_created_total"] == 1)
        #expect(metrics[prefix + "upstream_connections_reused_total"] == 2)
        #expect(metrics[prefix + "upstream_replays_total"] == 1)
        #expect(metrics[prefix + "upstream_errors_total"] == 1)
        #expect(metrics[prefix + "upstream_errors_total", ["upstream": "gateway", "reason": "reset"]] == 1)
        #expect(metrics[prefix + "request_bytes_total"] == 10)
        #expect(metrics[prefix + "response_bytes_total"] == 20)
        #expect(metrics[prefix + "buffers"] == 2)
        #expect(metrics[prefix + "buffers_refused_total"] == 7)
    }

    @Test("Spans are shown per exporter and reason")
    func spanFigures() throws {
        let metrics = try Metrics(metricsText(WorkerMetrics(names)))
        #expect(metrics["propagating_proxy_spans_started_total"] == 10)
        #expect(metrics["propagating_proxy_spans_exported_total", ["exporter": "zipkin-0"]] == 5)
        #expect(metrics["propagating_proxy_spans_dropped_total", ["exporter": "zipkin-0", "reason": "ring_full"]] == 2)
        #expect(metrics["propagating_proxy_spans_queued", ["exporter": "zipkin-0"]] == 3)
        #expect(metrics["propagating_proxy_span_posts_failed_total"] == 1)
    }

    @Test("Decisions are counted under their labels")
    func decisions() throws {
        let worker = WorkerMetrics(names)
        worker.localReply(reason: 1)
        worker.propagated(Extracted())
        worker.sawMalformed([.b3, .duplicate])
        worker.sampled(.probability)
        let metrics = try Metrics(metricsText(worker))
        #expect(metrics["propagating_proxy_local_replies_total", ["reason": "limit"]] == 1)
        #expect(metrics["propagating_proxy_propagation_total", ["outcome": "new"]] == 1)
        #expect(metrics["propagating_proxy_propagation_malformed_total", ["field": "b3"]] == 1)
        #expect(metrics["propagating_proxy_propagation_malformed_total", ["field": "duplicate"]] == 1)
        #expect(metrics["propagating_proxy_propagation_malformed_total"] == 2)
        #expect(metrics["propagating_proxy_sampling_decisions_total", ["reason": "probability"]] == 1)
    }

    @Test("A number that is out of range counts nowhere")
    func outOfRange() throws {
        let worker = WorkerMetrics(names)
        for number: UInt16 in [0, 3, .max] { worker.upstreamFailed(number, reason: 0) }
        for number: UInt16 in [2, .max] { worker.requestEnded(route: number, status: 200, microseconds: 1) }
        for number in [-1, 3, 1000, Int.max, Int.min] {
            worker.upstreamFailed(1, reason: number)
            worker.localReply(reason: number)
        }
        #expect((0..<names.count).allSatisfy { worker.cells[$0] == 0 })
    }

    @Test("No two figures share a cell")
    func cells() {
        let worker = WorkerMetrics(names)
        for route: UInt16 in 0...1 { worker.requestEnded(route: route, status: 200, microseconds: 1) }
        for upstream: UInt16 in 1...2 {
            worker.upstreamFailed(upstream, reason: 0)
            worker.upstreamFailed(upstream, reason: 1)
        }
        worker.connectionAccepted()
        worker.connectionRefused()
        worker.upstreamConnection(isReused: false)
        worker.upstreamConnection(isReused: true)
        worker.replayed()
        worker.transferred(requestBytes: 1, responseBytes: 1)
        worker.downstreams(open: 1)
        worker.gauges(
            upstreamsOpen: 1, upstreamsIdle: 1, buffersInUse: 1, buffersRefused: 1, acceptsRefused: 1)
        worker.memory(pages: 1, limit: 1, stage: .spans)
        worker.keepAliveShed()
        for index in 0...1 {
            worker.localReply(reason: index)
        }
        worker.propagated(Extracted())
        worker.sawMalformed(MalformedFields(rawValue: .max))
        for reason in SamplingReason.allCases { worker.sampled(reason) }
        for wish in MetricNames.OutsiderWish.allCases { worker.outsiderWished(wish) }
        #expect((0..<names.count).allSatisfy { worker.cells[$0] <= 1 })
        // 3 for each route, 2 for each upstream, 17 for the worker, 2 replies, 1 outcome, 3 wishes.
        let used = (0..<names.count).count { worker.cells[$0] == 1 }
        #expect(used == 6 + 4 + 17 + 2 + 1 + 3 + MalformedFields.kindCount + SamplingReason.allCases.count)
    }

    @Test("A route's statuses and latencies have a cell each, and rows begin with a cache line")
    func rows() {
        let rows = [0, 1].map { names.row(ofRoute: $0) }
        let cells = rows.flatMap { row in
            [row.latencySum] + MetricNames.statusClasses.indices.map { row.requests(statusClass: $0) }
                + (0...MetricNames.latencyBounds.count).map { row.latency(bucket: $0) }
        }
        #expect(Set(cells).count == cells.count)
        #expect(cells.allSatisfy { $0 >= rows[0].first && $0 < rows[1].first + MetricNames.RouteRow.count })
        #expect(rows.allSatisfy { $0.first % 8 == 0 })
    }

    @Test("One thread counts while another reads")
    func threads() throws {
        let table = CounterTable(count: 3)
        let thread = try SystemThread(name: "counter") {
            for _ in 0..<10_000 {
                table.add(1)
                table.add(2, 2)
            }
            table.subtract(2, 1)
            table.set(0, 7)
        }
        var last: UInt64 = 0
        while last < 10_000 {
            let now = table[1]
            #expect(now >= last)
            last = now
        }
        thread.join()
        #expect(table[0] == 7)
        #expect(table[2] == 19_999)
        #expect(table[3] == 0)
        #expect(table[-1] == 0)
        table.add(3)
        table.set(-1, 1)
    }

    /// Without the route whose name our test's reader cannot take apart.
    private func metricsText(_ worker: WorkerMetrics) -> String {
        page(worker).split(separator: "\n").filter { !$0.contains("route=") }.joined(separator: "\n")
    }
}
