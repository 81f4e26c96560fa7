// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Propagation
import SpanEmitter
import TLS

/// What the numbers of routes, upstreams and reasons are called, for one configuration, and so
/// which cell of a worker's counter table means what.
///
/// Index 0 of the routes is for requests that no route took.
struct MetricNames: Sendable {
    /// The label of a request that no route took.
    static let noRoute = "none"
    /// `none`: the caller was gone before a reply.
    static let statusClasses = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"]
    /// Upper bounds of the latency buckets in microseconds; one more bucket has none.
    static let latencyBounds: [UInt64] = [
        500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
        10_000_000,
    ]
    /// By the raw values of `Extracted.Outcome`.
    static let propagationOutcomes = ["continued", "hint", "new"]
    static let malformedFields = (0..<MalformedFields.kindCount).map { MalformedFields.label($0).description }
    static let pendingOutcomes = PendingOutcome.allCases.map(\.label)
    static let retryOutcomes = RetryOutcome.allCases.map(\.label)
    static let samplingReasons = SamplingReason.allCases.map(\.label.description)

    /// By the raw values of `GRPCStatus`: the seventeen statuses.
    static let grpcStatuses = GRPCStatus.allCases.filter(\.isKnown).map(\.name)
    /// Handshakes that ended well, anew and from an earlier session; then why the others failed, by ``TLSFailure``.
    static let handshakeResults = ["ok", "resumed"] + TLSFailure.allCases.map(\.name.description)
    static let http2Limits = HTTP2Limit.allCases.map(\.label.description)
    static let outsiderWishes = OutsiderWish.allCases.map(\.rawValue)

    let routes: [String]
    let upstreams: [String]
    let upstreamErrors: [String]
    let localReplies: [String]
    /// One for each listener; `nil` without TLS.
    let tlsListeners: [String?]

    // Where each family begins.
    /// A ``RouteRow`` for each route.
    let routeRows: Int
    let grpcCalls: Int
    let upstreamErrorCells: Int
    let retries: Int
    /// Outcomes of waiting, by upstream; then how many wait, by upstream.
    let pending: Int
    let waiting: Int
    /// Results of handshakes, by upstream.
    let upstreamHandshakes: Int
    let localReplyCells: Int
    let propagation: Int
    let malformed: Int
    let sampling: Int
    let wishes: Int
    let http2LimitCells: Int
    let handshakes: Int
    let worker: Int
    let count: Int

    /// - Parameters:
    ///   - routes: names of the routes, without ``noRoute``; route 1 is the first.
    ///   - upstreams: names of the upstreams; upstream 1 is the first.
    ///   - upstreamErrors, localReplies: label values, by index.
    ///   - tlsListeners: names of the listeners, in order; `nil` without TLS.
    init(
        routes: [String], upstreams: [String], upstreamErrors: [String], localReplies: [String],
        tlsListeners: [String?] = []
    ) {
        self.routes = [Self.noRoute] + routes
        self.upstreams = upstreams
        self.upstreamErrors = upstreamErrors
        self.localReplies = localReplies
        self.tlsListeners = tlsListeners
        var next = 0
        func take(_ count: Int) -> Int {
            defer { next += count }
            return next
        }
        routeRows = take(self.routes.count * RouteRow.count)
        worker = take(WorkerCell.allCases.count)
        grpcCalls = take(self.routes.count * Self.grpcStatuses.count)
        upstreamErrorCells = take(upstreams.count * upstreamErrors.count)
        retries = take(upstreams.count * Self.retryOutcomes.count)
        pending = take(upstreams.count * Self.pendingOutcomes.count)
        waiting = take(upstreams.count)
        upstreamHandshakes = take(upstreams.count * Self.handshakeResults.count)
        localReplyCells = take(localReplies.count)
        propagation = take(Self.propagationOutcomes.count)
        malformed = take(Self.malformedFields.count)
        sampling = take(Self.samplingReasons.count)
        wishes = take(Self.outsiderWishes.count)
        http2LimitCells = take(Self.http2Limits.count)
        handshakes = take(tlsListeners.count * Self.handshakeResults.count)
        count = next
    }

    func row(ofRoute number: Int) -> RouteRow { RouteRow(first: routeRows + number * RouteRow.count) }

    /// The cells of one route's requests. Those of a request that went well within 25 ms, 2xx and latency, are in one cache
    /// line: with thousands of routes each line is one that no cache has.
    struct RouteRow: BitwiseCopyable {
        /// A multiple of the cells of a cache line.
        let first: Int

        /// Three cache lines: two cells, the buckets, and from the end the other statuses.
        static let count = 24
        private static let successes = 1

        /// Of all requests, in microseconds.
        var latencySum: Int { first }

        /// - Parameter index: of a bound; one more has none.
        func latency(bucket index: Int) -> Int { first + 2 + index }

        /// - Parameter index: in ``MetricNames/statusClasses``.
        func requests(statusClass index: Int) -> Int {
            first + (index == Self.successes ? 1 : Self.count - 1 - index)
        }
    }

    /// What became of an outsider's wish about recording.
    enum OutsiderWish: String, CaseIterable {
        case granted
        /// This second's are used up; our own sampler decided.
        case capped
        case debugDropped = "debug_dropped"

        var index: Int {
            switch self {
            case .granted: 0
            case .capped: 1
            case .debugDropped: 2
            }
        }
    }

    /// What a worker counts once.
    enum WorkerCell: Int, CaseIterable {
        case downstreamsOpen, downstreamsAccepted, downstreamsRefused, acceptsRefused
        case upstreamsOpen, upstreamsIdle, upstreamsCreated, upstreamsReused, upstreamsDistrusted
        case replays, retriesWaiting
        case requestBytes, responseBytes
        case buffersInUse, buffersRefused
        case http2DownstreamsOpen, http2Streams
        case bufferPages, bufferPageLimit, overloadStage, keepAliveShed
        case handshakesWaiting, handshakesShed
    }
}
