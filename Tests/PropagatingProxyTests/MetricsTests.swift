// SPDX-License-Identifier: Apache-2.0
import EventLoop
import TestSupport
import Testing

@testable import PropagatingProxy

@Suite("Metrics")
struct MetricsTests {
    private let layout = MetricsLayout(
        routes: ["front \"page\"\\\n"], upstreams: ["app", "gateway"], upstreamErrors: ["timeout", "reset"],
        localReplies: ["no_route", "limit"], malformedFields: ["b3", "flags"],
        samplingReasons: ["debug", "probability"])

    private func page(_ workers: WorkerMetrics...) -> String {
        String(decoding: MetricsPage.render(layout: layout, workers: workers, logLinesDropped: 3), as: UTF8.self)
    }

    @Test("Each family has HELP and TYPE once, before its samples, and a name of ours")
    func format() {
        var families: [String] = []
        for line in page(WorkerMetrics(layout)).split(separator: "\n") {
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
        let first = WorkerMetrics(layout)
        let second = WorkerMetrics(layout)
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

    @Test("The histogram is cumulative, a bound belongs to its bucket, and +Inf is the count")
    func histogram() {
        let worker = WorkerMetrics(layout)
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

    @Test("Connections are counted up and down, per upstream")
    func connections() throws {
        let worker = WorkerMetrics(layout)
        worker.downstreamOpened()
        worker.downstreamOpened()
        worker.downstreamClosed()
        worker.downstreamRefused()
        worker.upstreamOpened(1)
        worker.upstreamIdle(1)
        worker.upstreamReused(1)
        worker.upstreamIdle(1)
        worker.upstreamOpened(2)
        worker.upstreamClosed(2, wasIdle: false)
        worker.upstreamFailed(2, reason: 1)
        worker.requestReplayed(2)
        worker.received(bytes: 10)
        worker.sent(bytes: 20)
        let metrics = try Metrics(metricsText(worker))
        let prefix = "propagating_proxy_"
        #expect(metrics[prefix + "downstream_connections"] == 1)
        #expect(metrics[prefix + "downstream_connections_total"] == 2)
        #expect(metrics[prefix + "downstream_connections_refused_total"] == 1)
        #expect(metrics[prefix + "upstream_connections", ["upstream": "app", "state": "idle"]] == 1)
        #expect(metrics[prefix + "upstream_connections", ["upstream": "app", "state": "active"]] == 0)
        #expect(metrics[prefix + "upstream_connections", ["upstream": "gateway"]] == 0)
        #expect(metrics[prefix + "upstream_connections_created_total"] == 2)
        #expect(metrics[prefix + "upstream_connections_reused_total", ["upstream": "app"]] == 1)
        #expect(metrics[prefix + "upstream_replays_total", ["upstream": "gateway"]] == 1)
        #expect(metrics[prefix + "upstream_errors_total"] == 1)
        #expect(metrics[prefix + "upstream_errors_total", ["upstream": "gateway", "reason": "reset"]] == 1)
        #expect(metrics[prefix + "downstream_received_bytes_total"] == 10)
        #expect(metrics[prefix + "downstream_sent_bytes_total"] == 20)
    }

    @Test("Decisions are counted under their labels")
    func decisions() throws {
        let worker = WorkerMetrics(layout)
        worker.repliedLocally(reason: 1)
        worker.propagated(outcome: 2)
        worker.sawMalformed(field: 0)
        worker.sampled(reason: 1)
        let metrics = try Metrics(metricsText(worker))
        #expect(metrics["propagating_proxy_local_replies_total", ["reason": "limit"]] == 1)
        #expect(metrics["propagating_proxy_propagation_total", ["outcome": "new"]] == 1)
        #expect(metrics["propagating_proxy_propagation_malformed_total", ["field": "b3"]] == 1)
        #expect(metrics["propagating_proxy_sampling_decisions_total", ["reason": "probability"]] == 1)
    }

    @Test("A number that is out of range counts nowhere")
    func outOfRange() throws {
        let worker = WorkerMetrics(layout)
        for number in [-1, 3, 1000, Int.max, Int.min] {
            worker.requestEnded(route: number, status: 200, microseconds: 1)
            worker.upstreamOpened(number)
            worker.upstreamFailed(number, reason: 0)
            worker.upstreamFailed(1, reason: number)
            worker.repliedLocally(reason: number)
            worker.propagated(outcome: number)
            worker.sawMalformed(field: number)
            worker.sampled(reason: number)
        }
        worker.upstreamOpened(0)
        #expect((0..<layout.count).allSatisfy { worker.cells[$0] == 0 })
    }

    @Test("No two figures share a cell")
    func cells() {
        let worker = WorkerMetrics(layout)
        for route in 0...1 { worker.requestEnded(route: route, status: 200, microseconds: 1) }
        for upstream in 1...2 {
            worker.upstreamOpened(upstream)
            worker.upstreamFailed(upstream, reason: 0)
            worker.upstreamFailed(upstream, reason: 1)
            worker.requestReplayed(upstream)
        }
        for index in 0...1 {
            worker.repliedLocally(reason: index)
            worker.sawMalformed(field: index)
            worker.sampled(reason: index)
        }
        for outcome in 0...2 { worker.propagated(outcome: outcome) }
        #expect((0..<layout.count).allSatisfy { worker.cells[$0] <= 1 })
        // 3 for each route, 5 for each upstream, 9 labels.
        let used = (0..<layout.count).count { worker.cells[$0] == 1 }
        #expect(used == 25)
    }

    @Test("One thread counts while another reads")
    func threads() throws {
        let table = CounterTable(count: 3)
        let thread = try Thread(name: "counter") {
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
