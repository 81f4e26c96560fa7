// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// What one worker counts. Only its thread writes; the control thread reads for a scrape.
///
/// Routes and upstreams are numbered from 1, 0 is none, as in span records.
final class WorkerMetrics: Sendable {
    let layout: MetricsLayout
    let cells: CounterTable

    init(_ layout: MetricsLayout) {
        self.layout = layout
        cells = CounterTable(count: layout.count)
    }

    /// A request has been answered, or given up.
    ///
    /// - Parameters:
    ///   - status: 0 if the caller was gone before a reply.
    ///   - microseconds: from the first byte of the request to the last of the reply.
    func requestEnded(route: Int, status: UInt16, microseconds: UInt64) {
        guard route >= 0, route < layout.routes.count else { return }
        let classCount = MetricsLayout.statusClasses.count
        let statusClass = (100...599).contains(status) ? Int(status) / 100 - 1 : classCount - 1
        cells.add(layout.requests + route * classCount + statusClass)
        let first = layout.latency + route * MetricsLayout.latencyCells
        var bucket = 0
        while bucket < MetricsLayout.latencyBounds.count, microseconds > MetricsLayout.latencyBounds[bucket] {
            bucket += 1
        }
        cells.add(first + bucket)
        cells.add(first + MetricsLayout.latencyCells - 1, microseconds)
    }

    // MARK: Connections

    func downstreamOpened() {
        add(.downstreamActive)
        add(.downstreamTotal)
    }

    func downstreamClosed() { cells.subtract(layout.worker + MetricsLayout.WorkerCell.downstreamActive.rawValue) }

    /// Not accepted: too many connections, or no descriptor for it.
    func downstreamRefused(_ count: UInt64 = 1) { add(.downstreamRefused, count) }

    func upstreamOpened(_ upstream: Int) {
        add(.created, upstream)
        add(.active, upstream)
    }

    func upstreamReused(_ upstream: Int) {
        add(.reused, upstream)
        add(.active, upstream)
        subtract(.idle, upstream)
    }

    /// Its exchange has ended and it waits in the pool.
    func upstreamIdle(_ upstream: Int) {
        subtract(.active, upstream)
        add(.idle, upstream)
    }

    func upstreamClosed(_ upstream: Int, wasIdle: Bool) { subtract(wasIdle ? .idle : .active, upstream) }

    /// A request was sent again because its reused connection had been closed.
    func requestReplayed(_ upstream: Int) { add(.replays, upstream) }

    func upstreamFailed(_ upstream: Int, reason: Int) {
        guard upstream >= 1, upstream <= layout.upstreams.count else { return }
        add(layout.upstreamErrorCells + (upstream - 1) * layout.upstreamErrors.count, reason, layout.upstreamErrors)
    }

    // MARK: Decisions

    /// - Parameter reason: an index of the layout's `localReplies`.
    func repliedLocally(reason: Int) { add(layout.localReplyCells, reason, layout.localReplies) }

    /// - Parameter outcome: an index of ``MetricsLayout/propagationOutcomes``.
    func propagated(outcome: Int) { add(layout.propagation, outcome, MetricsLayout.propagationOutcomes) }

    /// - Parameter field: an index of the layout's `malformedFields`.
    func sawMalformed(field: Int) { add(layout.malformed, field, layout.malformedFields) }

    /// - Parameter reason: an index of the layout's `samplingReasons`.
    func sampled(reason: Int) { add(layout.sampling, reason, layout.samplingReasons) }

    // MARK: Bytes and memory

    func received(bytes: Int) { add(.bytesReceived, UInt64(clamping: bytes)) }
    func sent(bytes: Int) { add(.bytesSent, UInt64(clamping: bytes)) }

    /// Noted from time to time, as the pool keeps its own count.
    func noteBuffers(of pool: BufferPool) {
        cells.set(layout.worker + MetricsLayout.WorkerCell.buffersInUse.rawValue, UInt64(clamping: pool.inUse))
        cells.set(layout.worker + MetricsLayout.WorkerCell.buffersRefused.rawValue, UInt64(clamping: pool.refusedCount))
    }

    // MARK: How

    private func add(_ cell: MetricsLayout.WorkerCell, _ number: UInt64 = 1) {
        cells.add(layout.worker + cell.rawValue, number)
    }

    private func add(_ cell: MetricsLayout.UpstreamCell, _ upstream: Int) {
        guard let index = index(of: cell, upstream) else { return }
        cells.add(index)
    }

    private func subtract(_ cell: MetricsLayout.UpstreamCell, _ upstream: Int) {
        guard let index = index(of: cell, upstream) else { return }
        cells.subtract(index)
    }

    private func index(of cell: MetricsLayout.UpstreamCell, _ upstream: Int) -> Int? {
        guard upstream >= 1, upstream <= layout.upstreams.count else { return nil }
        return layout.upstreamConnections + (upstream - 1) * MetricsLayout.UpstreamCell.allCases.count + cell.rawValue
    }

    /// A label that is not in the list must not count in the next family's cells.
    private func add(_ first: Int, _ index: Int, _ labels: [String]) {
        guard index >= 0, index < labels.count else { return }
        cells.add(first + index)
    }
}
