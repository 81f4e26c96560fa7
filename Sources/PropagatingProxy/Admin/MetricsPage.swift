// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// What `/metrics` shows: sums over the workers. The figures of one scrape are read one after the
/// other while the workers go on, so they may differ by the requests of that moment.
struct MetricsPage {
    private let names: MetricNames
    private let workers: [WorkerMetrics]
    private var text = MetricsText()

    /// - Parameters:
    ///   - workers: all of the same `names`.
    ///   - logLinesDropped: lines that found the log's queue full.
    static func render(
        _ workers: [WorkerMetrics], spans: SpanFigures, endpoints: EndpointFigures = EndpointFigures(),
        tls: TLSFigures = TLSFigures(), names: MetricNames, logLinesDropped: UInt64 = 0
    ) -> [UInt8] {
        var page = MetricsPage(names: names, workers: workers)
        page.writeRequests()
        page.writeLatency()
        page.writeCalls()
        page.writeConnections()
        page.writeCallerHandshakes()
        page.writeUpstreams()
        endpoints.write(into: &page.text)
        page.writeDecisions()
        page.writeMemory()
        spans.write(into: &page.text)
        tls.write(into: &page.text)
        page.write(
            "log_lines_dropped_total", .counter, "Log lines dropped because stderr was not read.", logLinesDropped)
        return page.text.bytes
    }

    private init(names: MetricNames, workers: [WorkerMetrics]) {
        self.names = names
        self.workers = workers
    }

    private func sum(_ index: Int) -> UInt64 {
        workers.reduce(0) { $0 &+ $1.cells[index] }
    }

    private func sum(_ cell: MetricNames.WorkerCell) -> UInt64 { sum(names.worker + cell.rawValue) }

    private mutating func writeRequests() {
        text.family("requests_total", .counter, "Requests answered, by route and class of status.")
        let classes = MetricNames.statusClasses
        for (route, name) in names.routes.enumerated() {
            let row = names.row(ofRoute: route)
            for (index, status) in classes.enumerated() {
                let value = sum(row.requests(statusClass: index))
                text.sample(value, ["route": name, "status": status])
            }
        }
    }

    private mutating func writeLatency() {
        text.family("request_duration_seconds", .histogram, "From a request's first byte to its reply's last.")
        let bounds = MetricNames.latencyBounds
        for (route, name) in names.routes.enumerated() {
            let row = names.row(ofRoute: route)
            var count: UInt64 = 0
            for (index, bound) in bounds.enumerated() {
                count += sum(row.latency(bucket: index))
                text.sample(count, suffix: "_bucket", ["route": name, "le": MetricsText.seconds(bound)])
            }
            count += sum(row.latency(bucket: bounds.count))
            text.sample(count, suffix: "_bucket", ["route": name, "le": "+Inf"])
            let total = sum(row.latencySum)
            text.sample(text: MetricsText.seconds(total), suffix: "_sum", ["route": name])
            text.sample(count, suffix: "_count", ["route": name])
        }
    }

    /// Of the statuses a route has seen, so that routes without gRPC have no lines.
    private mutating func writeCalls() {
        text.family("grpc_requests_total", .counter, "gRPC calls ended, by route and status.")
        let statuses = MetricNames.grpcStatuses
        for (route, name) in names.routes.enumerated() {
            for (index, status) in statuses.enumerated() {
                let value = sum(names.grpcCalls + route * statuses.count + index)
                if value > 0 { text.sample(value, ["route": name, "grpc_status": status]) }
            }
        }
    }

    private mutating func write(_ name: String, _ kind: MetricsText.Kind, _ help: String, _ value: UInt64) {
        text.family(name, kind, help)
        text.sample(value)
    }

    private mutating func writeConnections() {
        write("downstream_connections", .gauge, "Connections open from callers.", sum(.downstreamsOpen))
        write(
            "downstream_connections_total", .counter, "Connections accepted from callers.", sum(.downstreamsAccepted))
        write(
            "downstream_http2_connections", .gauge, "Of those open, the ones that speak HTTP/2.",
            sum(.http2DownstreamsOpen))
        write("downstream_http2_streams_total", .counter, "Requests that came on HTTP/2 streams.", sum(.http2Streams))
        text.family("downstream_connections_refused_total", .counter, "Connections closed at once, by what was short.")
        text.sample(sum(.downstreamsRefused), ["reason": "connection_limit"])
        text.sample(sum(.acceptsRefused), ["reason": "descriptors"])
        write("request_bytes_total", .counter, "Bytes of requests.", sum(.requestBytes))
        write("response_bytes_total", .counter, "Bytes of responses.", sum(.responseBytes))
    }

    /// Of the failures a listener has seen.
    private mutating func writeCallerHandshakes() {
        text.family("tls_handshakes_total", .counter, "TLS handshakes with callers, by listener and result.")
        let results = MetricNames.handshakeResults
        for (listener, name) in names.tlsListeners.enumerated() {
            guard let name else { continue }
            for (index, result) in results.enumerated() {
                let value = sum(names.handshakes + listener * results.count + index)
                if value > 0 || index < 2 { text.sample(value, ["listener": name, "result": result]) }
            }
        }
        write("tls_handshakes_waiting", .gauge, "TLS handshakes that wait for their turn.", sum(.handshakesWaiting))
        write(
            "tls_handshakes_shed_total", .counter, "TLS handshakes ended early because too many were under way.",
            sum(.handshakesShed))
    }

    private mutating func writeUpstreams() {
        let idle = sum(.upstreamsIdle)
        text.family("upstream_connections", .gauge, "Connections open to upstreams, by state.")
        text.sample(sum(.upstreamsOpen) - min(idle, sum(.upstreamsOpen)), ["state": "active"])
        text.sample(idle, ["state": "idle"])
        write(
            "upstream_connections_created_total", .counter, "Connections opened to upstreams.", sum(.upstreamsCreated))
        write(
            "upstream_connections_reused_total", .counter, "Requests that found an idle connection.",
            sum(.upstreamsReused))
        write(
            "upstream_connections_distrusted_total", .counter,
            "Idle connections closed because one used later had broken.", sum(.upstreamsDistrusted))
        write(
            "upstream_replays_total", .counter, "Requests sent again after a reused connection had closed.",
            sum(.replays))
        writeUpstreamHandshakes()
        writePending()
        writeRetries()
        text.family("upstream_errors_total", .counter, "Attempts that failed, by upstream and reason.")
        for (upstream, name) in names.upstreams.enumerated() {
            let first = names.upstreamErrorCells + upstream * names.upstreamErrors.count
            for (reason, label) in names.upstreamErrors.enumerated() {
                text.sample(sum(first + reason), ["upstream": name, "reason": label])
            }
        }
    }

    /// Of the results an upstream has seen, so that plain ones have no lines.
    private mutating func writeUpstreamHandshakes() {
        text.family("upstream_tls_handshakes_total", .counter, "TLS handshakes with upstreams, by result.")
        let results = MetricNames.handshakeResults
        for (upstream, name) in names.upstreams.enumerated() {
            for (index, label) in results.enumerated() {
                let value = sum(names.upstreamHandshakes + upstream * results.count + index)
                if value > 0 { text.sample(value, ["upstream": name, "result": label]) }
            }
        }
    }

    private mutating func writePending() {
        text.family("upstream_pending", .gauge, "Requests that wait because their upstream's bounds are reached.")
        for (upstream, name) in names.upstreams.enumerated() {
            text.sample(sum(names.waiting + upstream), ["upstream": name])
        }
        text.family("upstream_pending_total", .counter, "Requests that met those bounds, by what became of them.")
        for (upstream, name) in names.upstreams.enumerated() {
            let first = names.pending + upstream * MetricNames.pendingOutcomes.count
            for (index, label) in MetricNames.pendingOutcomes.enumerated() {
                text.sample(sum(first + index), ["upstream": name, "outcome": label])
            }
        }
    }

    private mutating func writeRetries() {
        write("retries_waiting", .gauge, "Requests that wait for their next try.", sum(.retriesWaiting))
        text.family("upstream_retries_total", .counter, "Failures a route may retry, by what became of them.")
        for (upstream, name) in names.upstreams.enumerated() {
            let first = names.retries + upstream * MetricNames.retryOutcomes.count
            for (index, label) in MetricNames.retryOutcomes.enumerated() {
                text.sample(sum(first + index), ["upstream": name, "outcome": label])
            }
        }
    }

    private mutating func writeDecisions() {
        let families: [(name: String, help: String, label: String, values: [String], first: Int)] = [
            (
                "local_replies_total", "Replies made by the proxy itself.", "reason", names.localReplies,
                names.localReplyCells
            ),
            (
                "propagation_total", "What became of the callers' trace contexts.", "outcome",
                MetricNames.propagationOutcomes, names.propagation
            ),
            (
                "propagation_malformed_total", "Trace fields that could not be used.", "field",
                MetricNames.malformedFields,
                names.malformed
            ),
            (
                "sampling_decisions_total", "Sampling decisions, by what decided.", "reason",
                MetricNames.samplingReasons,
                names.sampling
            ),
            (
                "http2_limits_total", "Streams refused and connections ended because an HTTP/2 peer went too far.",
                "limit", MetricNames.http2Limits, names.http2LimitCells
            ),
            (
                "outsider_wishes_total", "Wishes to be recorded, of callers that are not trusted.", "outcome",
                MetricNames.outsiderWishes, names.wishes
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
        write("buffers", .gauge, "Buffers of 64 KiB in use.", sum(.buffersInUse))
        write(
            "buffers_refused_total", .counter, "Buffers refused because the bound was reached.", sum(.buffersRefused))
        let page = UInt64(BufferPool.pageSize)
        write("buffer_bytes", .gauge, "Memory that buffers in use have touched.", sum(.bufferPages) * page)
        write("buffer_limit_bytes", .gauge, "Memory that buffers may take.", sum(.bufferPageLimit) * page)
        let stage = names.worker + MetricNames.WorkerCell.overloadStage.rawValue
        write(
            "overload_stage", .gauge,
            "Of the worker that is worst off: 1 drops spans, 2 ends connections too, 3 refuses requests too.",
            workers.map { $0.cells[stage] }.max() ?? 0)
        write(
            "overload_connections_ended_total", .counter, "Connections ended early because buffers ran short.",
            sum(.keepAliveShed))
        write("workers", .gauge, "Worker threads.", UInt64(workers.count))
    }
}
