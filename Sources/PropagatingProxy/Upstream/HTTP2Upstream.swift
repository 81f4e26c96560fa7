// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2

/// One HTTP/2 connection to one endpoint, shared by the exchanges that have a stream of it.
final class HTTP2Upstream: HTTP2Connection {
    /// Without a stream; shorter than what gRPC servers and meshes keep open.
    private static let idleMilliseconds = 60_000
    /// For bytes the peer does not read.
    private static let stallMilliseconds = 30_000

    private let pool: EndpointPool
    private let buffers: BufferPool
    private var isConnecting: Bool
    /// Streams taken before the connect ended.
    private var waiting: [UpstreamConnection] = []
    private(set) var servedCount = 0
    /// For streams to come; as many as were open at once.
    private var spare: [UpstreamConnection] = []
    private var idleDeadlineRuns = false

    init(
        _ descriptor: consuming Descriptor, isConnecting: Bool, connectMilliseconds: Int, pool: EndpointPool,
        supplies: SessionSupplies, on loop: EventLoop
    ) throws(HTTP2Error) {
        self.pool = pool
        buffers = supplies.buffers
        self.isConnecting = isConnecting
        let session = try supplies.session(.client)
        super.init(descriptor, session, isConnecting: isConnecting, supplies: supplies, on: loop)
        if isConnecting {
            awaitWritable()
            setDeadline(milliseconds: connectMilliseconds)
        } else {
            flushSoon()
        }
    }

    /// Whether the peer allows one more stream.
    var mayOpen: Bool { isOpen && session.mayOpen }
    var isIdle: Bool { session.streamCount == 0 }

    func openStream() -> UpstreamConnection? {
        guard isOpen, let stream = session.open() else { return nil }
        let connection = connection(for: stream)
        if isConnecting { waiting.append(connection) }
        servedCount += 1
        idleDeadlineRuns = false
        return connection
    }

    private func connection(for stream: HTTP2Stream) -> UpstreamConnection {
        guard let connection = spare.popLast() else {
            return UpstreamConnection(stream, of: self, isConnecting: isConnecting, pool: pool, buffers: buffers)
        }
        connection.reuse(for: stream, isConnecting: isConnecting)
        return connection
    }

    func keep(_ connection: UpstreamConnection) {
        if isOpen { spare.append(connection) }
    }

    override var mayTakeMore: Bool { super.mayTakeMore && !isConnecting }

    override func ioReady(_ readiness: Readiness) {
        if isConnecting { connectEnded(errno: takeError()) }
        if isOpen { super.ioReady(readiness) }
    }

    private func connectEnded(errno: CInt) {
        isConnecting = false
        setDeadline(milliseconds: nil)
        let streams = waiting
        waiting.removeAll()
        if errno != 0 { leavePool() }
        for stream in streams { stream.connected(errno: errno) }
        if errno != 0 { lose() } else { flushSoon() }
    }

    override func settle() {
        if session.goAwayReceived != nil || pool.isRetired {
            if isIdle { return lose() }
        }
        if isBlocked {
            setDeadline(milliseconds: Self.stallMilliseconds)
        } else if !isIdle {
            setDeadline(milliseconds: nil)
        } else if !idleDeadlineRuns {
            idleDeadlineRuns = true
            setDeadline(milliseconds: Self.idleMilliseconds)
        }
        pool.streamsMayOpen()
    }

    override func deadlinePassed() {
        if isConnecting {
            isConnecting = false
            leavePool()
            let streams = waiting
            waiting.removeAll()
            for stream in streams { stream.exchange?.upstreamDeadlinePassed(isConnecting: true) }
            return lose()
        }
        if isIdle { retire() } else { lose() }
    }

    /// Closes when its last stream has ended.
    func retire() {
        leavePool()
        if isIdle { end(.noError) } else { session.announceGoAway() }
    }

    private func leavePool() { pool.sessionLeft(self) }

    override func ended() {
        spare.removeAll()
        leavePool()
    }
}
