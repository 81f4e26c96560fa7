// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// What one upstream may have on one worker, over all its endpoints: connections, requests in flight, and requests
/// that wait for one of the two. First come, first served: while somebody waits, nobody goes past.
final class UpstreamCapacity {
    private let connectionLimit: Int
    private let requestLimit: Int
    private let waitingLimit: Int
    /// Open connections, idle ones among them.
    private(set) var openCount = 0
    private(set) var idleCount = 0
    /// Requests in flight on HTTP/2 connections, which themselves count as idle.
    private var streamCount = 0
    private var waiting: [Exchange] = []
    /// How many at the front of ``waiting`` have been served.
    private var servedCount = 0
    private var isServing = false
    private var pools: [EndpointPool] = []
    private var turn = 0

    init(_ settings: Configuration.UpstreamSettings) {
        connectionLimit = settings.maximumConnections
        requestLimit = settings.maximumRequests
        waitingLimit = settings.maximumPending
    }

    var waitingCount: Int { waiting.count - servedCount }
    private var busyCount: Int { openCount - idleCount + streamCount }

    /// Whether whoever comes now has to wait: behind others, or for a request to end.
    @inline(__always)
    var mustWait: Bool { busyCount >= requestLimit || waitingCount > 0 && !isServing }
    var mayOpen: Bool { openCount < connectionLimit }

    // MARK: What the pools tell

    func add(_ pool: EndpointPool) { pools.append(pool) }
    func remove(_ pool: EndpointPool) { pools.removeAll { $0 === pool } }
    func opened() { openCount += 1 }
    func closed() { openCount -= 1 }
    func becameIdle() { idleCount += 1 }
    func leftIdle(_ count: Int = 1) { idleCount -= count }
    func streamBegan() { streamCount += 1 }
    func streamEnded() { streamCount -= 1 }

    // MARK: Within the bound

    /// An idle connection of another endpoint, when no more may be opened.
    func takeIdle(except pool: EndpointPool) -> Lent<UpstreamConnection>? {
        guard idleCount > 0 else { return nil }
        // From one to the next: else the first endpoint would get all that the bound keeps from the others.
        for _ in pools.indices {
            turn = turn + 1 < pools.count ? turn + 1 : 0
            let other = pools[turn]  // bounded: the line above, and there are some
            guard other !== pool, other.isUsable else { continue }
            if let connection = other.takeIdle() { return connection }
        }
        return nil
    }

    /// Closes an idle connection of another endpoint if no more may be opened; answers whether one may be then.
    func makeRoom() -> Bool {
        if mayOpen { return true }
        guard idleCount > 0 else { return false }
        for pool in pools where pool.idleCount > 0 {
            pool.closeOldest()
            return mayOpen
        }
        return false
    }

    // MARK: Waiting

    /// The exchange waits for ``serve()`` to call its `connectionMayBeHad`.
    ///
    /// - Returns: false when as many wait as may.
    func enqueue(_ exchange: Exchange) -> Bool {
        guard waitingCount < waitingLimit else { return false }
        waiting.append(exchange)
        return true
    }

    /// The exchange waits no longer.
    func leave(_ exchange: Exchange) {
        // bounded: servedCount is at most the count, and both begin anew together
        guard let index = waiting[servedCount...].firstIndex(where: { $0 === exchange }) else { return }
        waiting.remove(at: index)
    }

    /// Called when a connection has become idle or has closed.
    @inline(__always)
    func serve() {
        if waitingCount > 0, !isServing { serveWaiting() }
    }

    /// One that is served here may end at once and call ``serve()`` again: this loop goes on for it. Each is served
    /// once, even if it comes back to the end of the queue.
    private func serveWaiting() {
        isServing = true
        defer { isServing = false }
        var left = waitingCount
        while left > 0, hasRoom, let next = takeFirst() {
            left -= 1
            next.connectionMayBeHad()
        }
    }

    private var hasRoom: Bool { busyCount < requestLimit && (mayOpen || idleCount > 0) }

    private func takeFirst() -> Exchange? {
        guard waiting.indices.contains(servedCount) else { return nil }
        let first = waiting[servedCount]
        servedCount += 1
        // Moving the rest to the front costs little if it is done seldom.
        if servedCount == waiting.count || servedCount >= 64 {
            waiting.removeFirst(servedCount)
            servedCount = 0
        }
        return first
    }
}
