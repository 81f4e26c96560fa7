// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// Timeouts and bounds of one upstream.
struct UpstreamSettings: BitwiseCopyable, Sendable {
    var connectMilliseconds = 1000
    var responseMilliseconds = 15_000
    var idleMilliseconds = 60_000
    /// Below the idle timeout of common servers, so that we close first (linkerd's choice).
    var poolIdleMilliseconds = 3000
    /// Idle connections kept per worker and address.
    var maximumIdle = 1024
}

/// One upstream of the configuration on one worker: its endpoints' addresses, in turn.
final class Upstream {
    /// A connection to send a request on.
    enum Acquisition {
        case ready(UpstreamConnection)
        case connecting(UpstreamConnection)
        case failed(ProxyError)
    }

    /// Index in the configuration; 0 is none, for span records.
    let number: UInt16
    let settings: UpstreamSettings
    private let endpoints: [Endpoint]
    private var pools: [EndpointPool] = []
    private var turn = 0

    /// - Parameter endpoints: not empty.
    init(
        number: UInt16, endpoints: [EndpointName], settings: UpstreamSettings, metrics: WorkerMetrics, resolver: Resolver,
        buffers: BufferPool, log: Log, on loop: EventLoop
    ) throws(EventLoopError) {
        self.number = number
        self.settings = settings
        self.endpoints = endpoints.map { Endpoint($0) }
        for endpoint in self.endpoints {
            try endpoint.start(
                resolver: resolver, on: loop,
                changed: { [unowned self] in addressesChanged(buffers: buffers, metrics: metrics, on: loop) },
                failed: { host, reason in log.warn("name not resolved", ["host": host, "reason": reason]) })
        }
    }

    /// Whether every name has been looked up at least once, with or without success.
    var isResolved: Bool { endpoints.allSatisfy(\.isSettled) }
    /// How many addresses an exchange may try.
    var addressCount: Int { pools.count }

    /// The next endpoint's connection (round robin): an idle one, or a new one.
    ///
    /// - Parameter isFresh: a connection nobody has used, for a replay.
    func acquire(isFresh: Bool) -> Acquisition {
        guard !pools.isEmpty else { return .failed(.noAddress) }
        turn = turn + 1 < pools.count ? turn + 1 : 0
        let pool = pools[turn]
        if !isFresh, let idle = pool.takeIdle() { return .ready(idle) }
        switch pool.connect() {
        case .success(let connection): return connection.isConnecting ? .connecting(connection) : .ready(connection)
        case .failure(let error): return .failed(error)
        }
    }

    /// Pools of addresses that stay are kept with their connections.
    private func addressesChanged(buffers: BufferPool, metrics: WorkerMetrics, on loop: EventLoop) {
        var next: [EndpointPool] = []
        for address in endpoints.flatMap(\.addresses) where !next.contains(where: { $0.address == address }) {
            let known = pools.first { $0.address == address }
            next.append(known ?? EndpointPool(
                address, upstream: Int(number), settings: settings, buffers: buffers, metrics: metrics, on: loop))
        }
        for pool in pools where !next.contains(where: { $0 === pool }) { pool.closeIdle() }
        pools = next
        turn = 0
    }

    /// Closes idle connections when the worker stops.
    func closeIdle() {
        for pool in pools { pool.closeIdle() }
    }
}
