// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2
import Propagation
import SpanEmitter
import TLS

/// What one worker counts. Only its thread writes; the control thread reads for a scrape.
///
/// Routes and upstreams are numbered from 1, 0 is none, as in span records.
final class WorkerMetrics: Sendable {
    let names: MetricNames
    let cells: CounterTable

    init(_ names: MetricNames) {
        self.names = names
        cells = CounterTable(count: names.count)
    }

    /// A request has been answered, or given up.
    ///
    /// - Parameters:
    ///   - status: 0 if the caller was gone before a reply.
    ///   - microseconds: from the first byte of the request to the last of the reply.
    func requestEnded(route: UInt16, status: UInt16, microseconds: UInt64) {
        guard route < names.routes.count else { return }
        let statusClass = (100...599).contains(status) ? Int(status) / 100 - 1 : MetricNames.statusClasses.count - 1
        let row = names.row(ofRoute: Int(route))
        cells.add(row.requests(statusClass: statusClass))
        var bucket = 0
        while bucket < MetricNames.latencyBounds.count, microseconds > MetricNames.latencyBounds[bucket] {
            bucket += 1
        }
        cells.add(row.latency(bucket: bucket))
        cells.add(row.latencySum, microseconds)
    }

    /// A gRPC call has ended.
    ///
    /// - Parameter status: one of the seventeen.
    func grpcEnded(route: UInt16, _ status: GRPCStatus) {
        guard route < names.routes.count, status.isKnown else { return }
        cells.add(names.grpcCalls + Int(route) * MetricNames.grpcStatuses.count + Int(status.rawValue))
    }

    // MARK: Connections

    func connectionAccepted() { add(.downstreamsAccepted) }

    /// Connections open from callers, noted at each change.
    func downstreams(open count: Int) { set(.downstreamsOpen, count) }

    /// Closed at once, because this worker has too many.
    func connectionRefused() { add(.downstreamsRefused) }

    /// A request got a connection to its upstream.
    func upstreamConnection(isReused: Bool) { add(isReused ? .upstreamsReused : .upstreamsCreated) }

    /// A request was sent again because its reused connection had been closed.
    func replayed() { add(.replays) }

    /// So many idle connections were closed because one used later had broken.
    func distrusted(_ count: Int) { add(.upstreamsDistrusted, UInt64(clamping: count)) }

    /// An attempt failed.
    ///
    /// - Parameter reason: an index of the names' `upstreamErrors`.
    func upstreamFailed(_ upstream: UInt16, reason: Int) {
        guard upstream >= 1, upstream <= names.upstreams.count else { return }
        add(names.upstreamErrorCells + (Int(upstream) - 1) * names.upstreamErrors.count, reason, names.upstreamErrors)
    }

    /// TLS to an upstream stands.
    func upstreamSecured(_ upstream: UInt16, isResumed: Bool) { upstreamHandshake(upstream, isResumed ? 1 : 0) }

    /// TLS to an upstream did not come about.
    func upstreamNotSecured(_ upstream: UInt16, _ failure: TLSFailure) {
        upstreamHandshake(upstream, 2 + Int(failure.rawValue))
    }

    private func upstreamHandshake(_ upstream: UInt16, _ result: Int) {
        guard upstream >= 1, upstream <= names.upstreams.count else { return }
        let results = MetricNames.handshakeResults
        add(names.upstreamHandshakes + (Int(upstream) - 1) * results.count, result, results)
    }

    /// A failure met a route that may try again.
    func retry(_ upstream: UInt16, _ outcome: RetryOutcome) {
        guard upstream >= 1, upstream <= names.upstreams.count else { return }
        cells.add(names.retries + (Int(upstream) - 1) * MetricNames.retryOutcomes.count + outcome.rawValue)
    }

    /// A request found its upstream's bounds reached.
    func pending(_ upstream: UInt16, _ outcome: PendingOutcome) {
        guard upstream >= 1, upstream <= names.upstreams.count else { return }
        cells.add(names.pending + (Int(upstream) - 1) * MetricNames.pendingOutcomes.count + outcome.rawValue)
    }

    /// Requests that wait for their upstream, noted at each change.
    func waiting(_ upstream: UInt16, _ count: Int) {
        guard upstream >= 1, upstream <= names.upstreams.count else { return }
        cells.set(names.waiting + Int(upstream) - 1, UInt64(clamping: count))
    }

    /// Exchanges that stand between two tries; noted about once a second.
    func retries(waiting count: Int) { set(.retriesWaiting, count) }

    /// Bytes of bodies and heads, as an exchange counted them.
    func transferred(requestBytes: UInt64, responseBytes: UInt64) {
        add(.requestBytes, requestBytes)
        add(.responseBytes, responseBytes)
    }

    /// What stands now; noted about once a second.
    ///
    /// - Parameters:
    ///   - upstreamsOpen: idle ones among them.
    ///   - buffersRefused, acceptsRefused: since the start. The second is for want of descriptors.
    func gauges(
        upstreamsOpen: Int, upstreamsIdle: Int, buffersInUse: Int, buffersRefused: Int,
        acceptsRefused: Int
    ) {
        set(.upstreamsOpen, upstreamsOpen)
        set(.upstreamsIdle, upstreamsIdle)
        set(.buffersInUse, buffersInUse)
        set(.buffersRefused, buffersRefused)
        set(.acceptsRefused, acceptsRefused)
    }

    /// What buffers take now, noted about once a second.
    func memory(pages: Int, limit: Int, stage: OverloadStage) {
        set(.bufferPages, pages)
        set(.bufferPageLimit, limit)
        set(.overloadStage, stage.rawValue)
    }

    /// A connection was ended, or marked to end, because buffers run short.
    func keepAliveShed() { add(.keepAliveShed) }

    // MARK: HTTP/2

    /// A downstream connection has turned out to speak HTTP/2, or such a one has closed.
    func http2Downstreams(open count: Int) { set(.http2DownstreamsOpen, count) }

    /// A request came on a stream.
    func http2StreamBegan() { add(.http2Streams) }

    /// A peer went beyond a limit so many times: a stream was refused, or its connection ended.
    func http2LimitReached(_ limit: HTTP2Limit, _ times: UInt64) {
        add(names.http2LimitCells, limit.rawValue, MetricNames.http2Limits, times)
    }

    // MARK: TLS

    /// A handshake with a caller has ended well.
    func handshakeEnded(listener: UInt16, isResumed: Bool) { callerHandshake(listener, isResumed ? 1 : 0) }

    func handshakeFailed(listener: UInt16, _ failure: TLSFailure) {
        callerHandshake(listener, 2 + Int(failure.rawValue))
    }

    /// Handshakes that wait for their turn; noted about once a second.
    func handshakes(waiting count: Int) { set(.handshakesWaiting, count) }

    /// A handshake was ended early, because too many were under way.
    func handshakeShed() { add(.handshakesShed) }

    private func callerHandshake(_ listener: UInt16, _ result: Int) {
        guard listener < names.tlsListeners.count else { return }
        let results = MetricNames.handshakeResults
        add(names.handshakes + Int(listener) * results.count, result, results)
    }

    // MARK: Decisions

    /// - Parameter reason: an index of the names' `localReplies`.
    func localReply(reason: Int) { add(names.localReplyCells, reason, names.localReplies) }

    /// What the caller's trace fields were good for.
    func propagated(_ extracted: Extracted) {
        add(names.propagation, Int(extracted.outcome.rawValue), MetricNames.propagationOutcomes)
        sawMalformed(extracted.malformed)
    }

    func sawMalformed(_ fields: MalformedFields) {
        guard !fields.isEmpty else { return }
        for kind in 0..<MalformedFields.kindCount where fields.rawValue >> UInt16(kind) & 1 == 1 {
            cells.add(names.malformed + kind)
        }
    }

    func sampled(_ reason: SamplingReason) { cells.add(names.sampling + Int(reason.rawValue)) }

    /// A caller outside of the listener's trusted addresses wanted its trace recorded.
    func outsiderWished(_ wish: MetricNames.OutsiderWish) { cells.add(names.wishes + wish.index) }

    // MARK: How

    private func add(_ cell: MetricNames.WorkerCell, _ number: UInt64 = 1) {
        cells.add(names.worker + cell.rawValue, number)
    }

    private func set(_ cell: MetricNames.WorkerCell, _ number: Int) {
        cells.set(names.worker + cell.rawValue, UInt64(clamping: number))
    }

    /// A label that is not in the list must not count in the next family's cells.
    private func add(_ first: Int, _ index: Int, _ labels: [String], _ number: UInt64 = 1) {
        guard index >= 0, index < labels.count else { return }
        cells.add(first + index, number)
    }
}
