// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// The endpoints as `/metrics` shows them.
struct EndpointFigures: Sendable {
    /// Since the start, by upstream.
    struct Counts: BitwiseCopyable {
        var checksPassed: UInt64 = 0
        var checksFailed: UInt64 = 0
        var checksDelayed: UInt64 = 0
        /// Verdicts of the checks that differ from the one before.
        var changes: UInt64 = 0
        var ejectedForServerErrors: UInt64 = 0
        var ejectedForConnectFailures: UInt64 = 0
        /// Because too many were out already.
        var ejectionsRefused: UInt64 = 0
    }

    struct Endpoint: Sendable {
        let address: String
        let isHealthy: Bool
        let isEjected: Bool
        let active: Int

        init(_ record: EndpointRecord) {
            address = record.address.description
            isHealthy = record.isHealthy
            isEjected = record.isEjected
            active = record.activeCount
        }
    }

    struct Upstream: Sendable {
        var name: String
        var counts: Counts
        var isPanicking: Bool
        var endpoints: [Endpoint]
    }

    var upstreams: [Upstream] = []
    var untracked = 0

    func write(into text: inout MetricsText) {
        writeGauge("upstream_endpoint_healthy", "Whether an endpoint passes its health checks.", into: &text) {
            $0.isHealthy ? 1 : 0
        }
        writeGauge("upstream_endpoint_ejected", "Whether an endpoint is ejected.", into: &text) {
            $0.isEjected ? 1 : 0
        }
        writeGauge("upstream_endpoint_active_requests", "Requests an endpoint is busy with.", into: &text) {
            UInt64($0.active)
        }
        text.family(
            "upstream_panic", .gauge, "Whether too few endpoints are available, so that all of them are used.")
        for upstream in upstreams { text.sample(upstream.isPanicking ? 1 : 0, ["upstream": upstream.name]) }
        writeCounters(into: &text)
        text.family(
            "upstream_endpoints_untracked_total", .counter, "Endpoints beyond the bound, used without a verdict.")
        text.sample(UInt64(untracked))
    }

    private func writeGauge(
        _ name: String, _ help: String, into text: inout MetricsText, value: (Endpoint) -> UInt64
    ) {
        text.family(name, .gauge, help)
        for upstream in upstreams {
            for endpoint in upstream.endpoints {
                text.sample(value(endpoint), ["upstream": upstream.name, "endpoint": endpoint.address])
            }
        }
    }

    private func writeCounters(into text: inout MetricsText) {
        text.family("upstream_health_checks_total", .counter, "Probes of ours, by outcome.")
        for upstream in upstreams {
            let counts = upstream.counts
            for (outcome, count) in [
                ("passed", counts.checksPassed), ("failed", counts.checksFailed), ("delayed", counts.checksDelayed),
            ] { text.sample(count, ["upstream": upstream.name, "outcome": outcome]) }
        }
        text.family("upstream_health_changes_total", .counter, "How often the checks took an endpoint out or back.")
        for upstream in upstreams { text.sample(upstream.counts.changes, ["upstream": upstream.name]) }
        text.family("upstream_ejections_total", .counter, "Endpoints ejected because requests failed, by reason.")
        for upstream in upstreams {
            for reason in EjectionReason.allCases {
                text.sample(upstream.counts[reason], ["upstream": upstream.name, "reason": reason.label])
            }
        }
        text.family(
            "upstream_ejections_refused_total", .counter, "Endpoints not ejected because too many were already.")
        for upstream in upstreams { text.sample(upstream.counts.ejectionsRefused, ["upstream": upstream.name]) }
    }
}

extension EndpointFigures.Counts {
    subscript(reason: EjectionReason) -> UInt64 {
        get {
            switch reason {
            case .serverErrors: ejectedForServerErrors
            case .connectFailures: ejectedForConnectFailures
            }
        }
        set {
            switch reason {
            case .serverErrors: ejectedForServerErrors = newValue
            case .connectFailures: ejectedForConnectFailures = newValue
            }
        }
    }
}
