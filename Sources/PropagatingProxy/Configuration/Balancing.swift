// SPDX-License-Identifier: Apache-2.0

extension Configuration {
    /// How an endpoint is chosen for a request.
    enum Balance: Sendable, Equatable {
        case roundRobin
        /// The less busy of two that are drawn.
        case leastRequest
        case hash(HashSource)
    }

    /// The part of a request that ties it to an endpoint.
    enum HashSource: Sendable, Equatable {
        /// The first field of this name, in lower case.
        case header([UInt8])
        /// The first cookie of this name.
        case cookie([UInt8])
        /// The address the request came from, without port.
        case source
    }

    /// Probes of our own, once per process for each endpoint.
    struct HealthCheck: Sendable, Equatable {
        enum Kind: String, CaseIterable, Sendable { case http, tcp }

        var kind = Kind.http
        var path = Array("/healthz".utf8)
        /// Empty: the upstream's authority.
        var host: [UInt8] = []
        /// Statuses that pass.
        var expected: [ClosedRange<UInt16>] = [200...299]
        /// From the end of one probe to the next, give or take a tenth.
        var intervalMilliseconds = 10_000
        var timeoutMilliseconds = 1000
        /// Failures in a row that take an endpoint out.
        var unhealthyThreshold = 3
        /// Passes in a row that bring it back.
        var healthyThreshold = 2

        func accepts(_ status: UInt16) -> Bool { expected.contains { $0.contains(status) } }
    }

    /// Takes out endpoints that requests fail at. The numbers are Envoy's.
    struct OutlierDetection: Sendable, Equatable {
        var consecutiveServerErrors = 5
        var consecutiveConnectFailures = 5
        /// Between two looks at whose time is over.
        var intervalMilliseconds = 10_000
        /// Of the first ejection; the second lasts twice as long, and so on.
        var baseEjectionMilliseconds = 30_000
        /// Of the upstream's endpoints; one may always be out.
        var maximumEjectionPercent = 10
    }
}
