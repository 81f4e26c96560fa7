// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// One upstream of the configuration on one worker: its endpoints' addresses, in turn.
final class Upstream {
    /// A connection to send a request on.
    enum Acquisition {
        case ready(UpstreamConnection)
        case connecting(UpstreamConnection)
        /// - Parameter pool: the endpoint that was tried, if one was.
        case failed(ProxyError, pool: EndpointPool?)
        /// Nothing more may be in use: the exchange waits in ``Upstream/capacity``.
        case full
    }

    /// Index in the configuration; 0 is none, for span records.
    let number: UInt16
    let settings: Configuration.UpstreamSettings
    /// Of the routes that lead here and may try again.
    var retryBudget: RetryBudget
    let capacity: UpstreamCapacity
    private let endpoints: [Endpoint]
    private var pools: [EndpointPool] = []
    private var turn = 0
    private var lastID: UInt32 = 0

    init(
        number: UInt16, _ upstream: Configuration.Upstream, resolver: Resolver, buffers: BufferPool, log: Log,
        on loop: EventLoop
    ) throws(EventLoopError) {
        self.number = number
        settings = upstream.settings
        retryBudget = RetryBudget(percent: settings.retryPercent, leastPerSecond: settings.retriesPerSecond)
        capacity = UpstreamCapacity(settings)
        endpoints = upstream.endpoints.map { Endpoint($0) }
        for endpoint in endpoints {
            try endpoint.start(
                resolver: resolver, on: loop,
                changed: { [unowned self] in addressesChanged(buffers: buffers, on: loop) },
                failed: { host, reason in
                    log.limited(.warn, key: "name not resolved", nil, ["host": host, "reason": reason])
                })
        }
    }

    /// Whether every name has been looked up at least once, with or without success.
    var isResolved: Bool { endpoints.allSatisfy(\.isSettled) }
    /// Connections, idle ones among the open.
    var connectionCounts: (open: Int, idle: Int) {
        pools.reduce((0, 0)) { ($0.0 + $1.openCount, $0.1 + $1.idleCount) }
    }
    /// How many addresses an exchange may try.
    var addressCount: Int { pools.count }

    /// The next endpoint's connection (round robin): an idle one, or a new one.
    func acquire(_ wish: Wish) -> Acquisition {
        if capacity.mustWait { return .full }
        guard !pools.isEmpty else { return .failed(.noAddress, pool: nil) }
        var pool = nextInTurn()
        if pool.id == wish.avoids { pool = nextInTurn() }
        return pool.take(wish)
    }

    private func nextInTurn() -> EndpointPool {
        let pool = pools[turn]
        turn = turn + 1 < pools.count ? turn + 1 : 0
        return pool
    }

    /// Pools of addresses that stay are kept with their connections.
    private func addressesChanged(buffers: BufferPool, on loop: EventLoop) {
        var next: [EndpointPool] = []
        for address in endpoints.flatMap(\.addresses) where !next.contains(where: { $0.address == address }) {
            let known = pools.first { $0.address == address }
            next.append(
                known
                    ?? EndpointPool(
                        address, id: newID(), settings: settings, capacity: capacity, buffers: buffers, on: loop))
        }
        for pool in pools where !next.contains(where: { $0 === pool }) { pool.retire() }
        pools = next
        turn = 0
    }

    private func newID() -> EndpointID {
        lastID &+= 1
        return EndpointID(number: lastID)
    }

    /// Closes idle connections when the worker stops.
    func closeIdle() {
        for pool in pools { pool.closeIdle() }
    }

    /// The worker has stopped: no name is looked up any more.
    func end() {
        for pool in pools { pool.retire() }
        pools = []
        for endpoint in endpoints { endpoint.end() }
    }
}
