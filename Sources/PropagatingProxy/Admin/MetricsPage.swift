// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// What `/metrics` shows: sums over the workers. The figures of one scrape are read one after the
/// other while the workers go on, so they may differ by the requests of that moment.
struct MetricsPage {
    private let layout: MetricsLayout
    private let workers: [WorkerMetrics]
    private var text = MetricsText()

    /// - Parameters:
    ///   - workers: all of one layout.
    ///   - logLinesDropped: lines that found the log's queue full.
    static func render(layout: MetricsLayout, workers: [WorkerMetrics], logLinesDropped: UInt64 = 0) -> [UInt8] {
        var page = MetricsPage(layout: layout, workers: workers)
        page.writeRequests()
        page.writeLatency()
        page.writeConnections()
        page.writeUpstreams()
        page.writeDecisions()
        page.writeMemory()
        page.text.family("log_lines_dropped_total", .counter, "Log lines dropped because stderr was not read.")
        page.text.sample(logLinesDropped)
        return page.text.bytes
    }

    private init(layout: MetricsLayout, workers: [WorkerMetrics]) {
        self.layout = layout
        self.workers = workers
    }

    private func sum(_ index: Int) -> UInt64 {
        workers.reduce(0) { $0 &+ $1.cells[index] }
    }

    private func sum(_ cell: MetricsLayout.WorkerCell) -> UInt64 { sum(layout.worker + cell.rawValue) }

    private mutating func writeRequests() {
        text.family("requests_total", .counter, "Requests answered, by route and class of status.")
        let classes = MetricsLayout.statusClasses
        for (route, name) in layout.routes.enumerated() {
            for (index, status) in classes.enumerated() {
                let value = sum(layout.requests + route * classes.count + index)
                text.sample(value, ["route": name, "status": status])
            }
        }
    }

    private mutating func writeLatency() {
        text.family("request_duration_seconds", .histogram, "From a request's first byte to its reply's last.")
        let bounds = MetricsLayout.latencyBounds
        for (route, name) in layout.routes.enumerated() {
            let first = layout.latency + route * MetricsLayout.latencyCells
            var count: UInt64 = 0
            for (index, bound) in bounds.enumerated() {
                count += sum(first + index)
                text.sample(count, suffix: "_bucket", ["route": name, "le": MetricsText.seconds(bound)])
            }
            count += sum(first + bounds.count)
            text.sample(count, suffix: "_bucket", ["route": name, "le": "+Inf"])
            let total = sum(first + bounds.count + 1)
            text.sample(text: MetricsText.seconds(total), suffix: "_sum", ["route": name])
            text.sample(count, suffix: "_count", ["route": name])
        }
    }

    private mutating func writeConnections() {
        text.family("downstream_connections", .gauge, "Connections open from callers.")
        text.sample(sum(.downstreamActive))
        text.family("downstream_connections_total", .counter, "Connections accepted from callers.")
        text.sample(sum(.downstreamTotal))
        text.family("downstream_connections_refused_total", .counter, "Connections not accepted for want of room.")
        text.sample(sum(.downstreamRefused))
        text.family("downstream_received_bytes_total", .counter, "Bytes received from callers.")
        text.sample(sum(.bytesReceived))
        text.family("downstream_sent_bytes_total", .counter, "Bytes sent to callers.")
        text.sample(sum(.bytesSent))
    }

    private mutating func writeUpstreams() {
        text.family("upstream_connections", .gauge, "Connections open to upstreams, by state.")
        for upstream in layout.upstreams.indices {
            let name = layout.upstreams[upstream]
            text.sample(sum(.active, of: upstream), ["upstream": name, "state": "active"])
            text.sample(sum(.idle, of: upstream), ["upstream": name, "state": "idle"])
        }
        let counters: [(MetricsLayout.UpstreamCell, String, String)] = [
            (.created, "upstream_connections_created_total", "Connections opened to upstreams."),
            (.reused, "upstream_connections_reused_total", "Requests that found an idle connection."),
            (.replays, "upstream_replays_total", "Requests sent again after a reused connection had closed."),
        ]
        for (cell, name, help) in counters {
            text.family(name, .counter, help)
            for upstream in layout.upstreams.indices {
                text.sample(sum(cell, of: upstream), ["upstream": layout.upstreams[upstream]])
            }
        }
        text.family("upstream_errors_total", .counter, "Attempts that failed, by upstream and reason.")
        for upstream in layout.upstreams.indices {
            for (reason, label) in layout.upstreamErrors.enumerated() {
                let value = sum(layout.upstreamErrorCells + upstream * layout.upstreamErrors.count + reason)
                text.sample(value, ["upstream": layout.upstreams[upstream], "reason": label])
            }
        }
    }

    private func sum(_ cell: MetricsLayout.UpstreamCell, of upstream: Int) -> UInt64 {
        sum(layout.upstreamConnections + upstream * MetricsLayout.UpstreamCell.allCases.count + cell.rawValue)
    }

    private mutating func writeDecisions() {
        let families: [(name: String, help: String, label: String, values: [String], first: Int)] = [
            (
                "local_replies_total", "Replies made by the proxy itself.", "reason", layout.localReplies,
                layout.localReplyCells
            ),
            (
                "propagation_total", "What became of the callers' trace contexts.", "outcome",
                MetricsLayout.propagationOutcomes, layout.propagation
            ),
            (
                "propagation_malformed_total", "Trace fields that could not be used.", "field", layout.malformedFields,
                layout.malformed
            ),
            (
                "sampling_decisions_total", "Sampling decisions, by what decided.", "reason", layout.samplingReasons,
                layout.sampling
            ),
        ]
        for family in families {
            text.family(family.name, .counter, family.help)
            for (index, value) in family.values.enumerated() {
                text.sample(sum(family.first + index), [family.label: value])
            }
        }
    }

    private mutating func writeMemory() {
        text.family("buffers", .gauge, "Buffers of 64 KiB in use.")
        text.sample(sum(.buffersInUse))
        text.family("buffers_refused_total", .counter, "Buffers refused because the bound was reached.")
        text.sample(sum(.buffersRefused))
        text.family("workers", .gauge, "Worker threads.")
        text.sample(UInt64(workers.count))
    }
}
