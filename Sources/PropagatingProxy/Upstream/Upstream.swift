// SPDX-License-Identifier: Apache-2.0
import EventLoop
import TLS

/// One upstream of the configuration on one worker: its endpoints' addresses, and the choice among them.
final class Upstream {
    /// A connection to send a request on. It is its own.
    enum Acquisition {
        case ready(Lent<UpstreamConnection>)
        case connecting(Lent<UpstreamConnection>)
        /// - Parameter pool: the endpoint that was tried, if one was.
        case failed(ProxyError, pool: EndpointPool?)
        /// Nothing more may be in use: the exchange waits in ``Upstream/capacity``.
        case full
    }

    /// Index in the configuration and 1; 0 is none, for span records.
    let number: UInt16
    let settings: Configuration.UpstreamSettings
    /// `nil`: plain text.
    let tls: UpstreamTLS?
    /// Of the routes that lead here and may try again.
    var retryBudget: RetryBudget
    let capacity: UpstreamCapacity
    /// `nil` unless it balances by hash.
    let stickyKey: StickyKey?
    private let endpoints: [Endpoint]
    private var pools: EndpointSet
    private let board: EndpointBoard
    private let judge: EjectionJudge?
    private let supplies: SessionSupplies
    private let loop: EventLoop
    private var rebuilding: LoopTimer?
    /// Addresses have changed and the set has not.
    private var isStale = true
    private var lastID: UInt32 = 0

    init(
        number: UInt16, _ upstream: Configuration.Upstream, tls: UpstreamTLS?, board: EndpointBoard,
        resolver: Resolver, supplies: SessionSupplies, seed: UInt64, log: Log, on loop: EventLoop
    ) throws(EventLoopError) {
        self.number = number
        self.board = board
        self.supplies = supplies
        self.loop = loop
        settings = upstream.settings
        self.tls = tls
        retryBudget = RetryBudget(percent: settings.retryPercent, leastPerSecond: settings.retriesPerSecond)
        capacity = UpstreamCapacity(settings)
        stickyKey = if case .hash(let source) = upstream.balance { StickyKey(source) } else { nil }
        judge = upstream.outlierDetection.map { EjectionJudge(rule: $0, board: board) }
        pools = EndpointSet(upstream.balance, panicPercent: upstream.panicPercent, seed: seed)
        endpoints = upstream.endpoints.map { Endpoint($0) }
        let rebuilding = try LoopTimer(on: loop) { [unowned self] in rebuild() }
        self.rebuilding = rebuilding
        for endpoint in endpoints {
            try endpoint.start(
                resolver: resolver, on: loop,
                changed: { [unowned self] in addressesChanged() },
                failed: { host, reason in
                    log.limited(.warn, key: "name not resolved", nil, ["host": host, "reason": reason])
                })
        }
        rebuild()
    }

    /// Whether every name has been looked up at least once, with or without success.
    var isResolved: Bool { !isStale && endpoints.allSatisfy(\.isSettled) }
    /// Connections, idle ones among the open.
    var connectionCounts: (open: Int, idle: Int) {
        pools.all.reduce((0, 0)) { ($0.0 + $1.openCount, $0.1 + $1.idleCount) }
    }
    /// Called once a second: see ``HTTP2Connection/lookBehind()``.
    func lookBehind() {
        for pool in pools.all where !pool.sessions.isEmpty {
            for session in pool.sessions { session.lookBehind() }
        }
    }
    /// How many addresses an exchange may try.
    var addressCount: Int { pools.usable.count }

    /// A connection to the endpoint that is chosen: an idle one, or a new one.
    func acquire(_ wish: Wish) -> Acquisition {
        if capacity.mustWait { return .full }
        guard let pool = pools.choose(wish) else {
            return .failed(pools.all.isEmpty ? .noAddress : .noHealthyUpstream, pool: nil)
        }
        return pool.use { $0.take(wish) }  // the set changes between events only
    }

    // MARK: Endpoints

    /// Names that are answered together change the set once.
    private func addressesChanged() {
        guard !isStale else { return }
        isStale = true
        rebuilding?.start(milliseconds: 0)
    }

    /// Pools of addresses that stay are kept with their connections.
    private func rebuild() {
        isStale = false
        var known = Dictionary(pools.all.map { ($0.address, $0) }) { first, _ in first }
        var seen: Set<SocketAddress> = []
        var next: [EndpointPool] = []
        for endpoint in endpoints {
            for address in endpoint.addresses where seen.insert(address).inserted {
                next.append(known.removeValue(forKey: address) ?? newPool(address, of: endpoint))
            }
        }
        pools.replace(next)
        for pool in known.values { drop(pool) }
    }

    private func newPool(_ address: SocketAddress, of endpoint: Endpoint) -> EndpointPool {
        lastID &+= 1
        return EndpointPool(
            address, id: EndpointID(number: lastID),
            record: board.join(address, host: endpoint.host, upstream: Int(number) - 1), judge: judge,
            upstream: number, tls: tls?.destination(endpoint.host), settings: settings, capacity: capacity,
            supplies: supplies, on: loop)
    }

    private func drop(_ pool: EndpointPool) {
        pool.retire()
        pool.retractBusy()
        if let record = pool.record { board.leave(record) }
    }

    /// The board has a new verdict.
    func verdictsChanged() { pools.sortOut() }

    /// Tells the board how busy each endpoint is.
    func publishBusy() {
        for pool in pools.all { pool.publishBusy() }
    }

    // MARK: The end

    /// Closes idle connections when the worker stops.
    func closeIdle() {
        for pool in pools.all { pool.closeIdle() }
    }

    /// The worker has stopped: no name is looked up any more.
    func end() {
        for pool in pools.all { drop(pool) }
        pools.replace([])
        for endpoint in endpoints { endpoint.end() }
        rebuilding = nil
    }
}
