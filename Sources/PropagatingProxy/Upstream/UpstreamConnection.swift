// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2
import SpanEmitter

/// One connection to one endpoint: connecting, idle in its pool, or carrying an exchange. Or one stream of an HTTP/2
/// connection, for a single exchange.
final class UpstreamConnection: Socket {
    /// Response bytes not yet passed on.
    var input: Buffer
    /// Request bytes the kernel has not taken yet.
    var output: Buffer
    /// The exchange it serves; `nil` while idle.
    var exchange: Exchange?
    let pool: EndpointPool
    /// Of ``pool``.
    let endpointID: EndpointID
    /// The peer's address as spans carry it.
    let endpoint: EndpointAddress
    /// What carries it, if it is no socket of its own.
    private(set) var stream: HTTP2Stream?
    private let session: HTTP2Upstream?
    private(set) var isConnecting: Bool
    /// How many exchanges it has served whole. An idle one may have been closed by its peer just now.
    private(set) var useCount: UInt32 = 0
    /// The pass of the loop in which its last response ended.
    private(set) var answeredPass: UInt64 = 0

    init(
        _ descriptor: consuming Descriptor, isConnecting: Bool, pool: EndpointPool, buffers: BufferPool,
        on loop: EventLoop
    ) {
        input = Buffer(pool: buffers)
        output = Buffer(pool: buffers)
        self.pool = pool
        endpointID = pool.id
        endpoint = pool.endpoint
        self.isConnecting = isConnecting
        stream = nil
        session = nil
        super.init(descriptor, on: loop)
        if isConnecting { awaitWritable() }
    }

    /// One stream of an HTTP/2 connection.
    init(
        _ stream: HTTP2Stream, of session: HTTP2Upstream, isConnecting: Bool, pool: EndpointPool, buffers: BufferPool
    ) {
        input = Buffer(pool: buffers)
        output = Buffer(pool: buffers)
        self.pool = pool
        endpointID = pool.id
        endpoint = pool.endpoint
        self.isConnecting = isConnecting
        self.stream = stream
        self.session = session
        useCount = UInt32(clamping: session.servedCount)
        super.init(carrier: stream, on: session.loop)
    }

    /// Another stream of the same HTTP/2 connection, when the last one has ended.
    func reuse(for stream: HTTP2Stream, isConnecting: Bool) {
        self.stream = stream
        self.isConnecting = isConnecting
        useCount = 1
        reopen(carrier: stream)
    }

    /// A stream has ended, or is cut now.
    func rest() {
        rest(isCut: false)
        stream = nil
        input.release()
        output.release()
    }

    /// Whether the peer may have closed before it saw the request, through no fault of it.
    var mayLoseRace: Bool { useCount > 0 || stream != nil }

    /// Whether the peer has neither spoken nor ended, as far as the loop knows.
    var isQuiet: Bool { !mayRead && !peerHasEnded && !isReported }

    override func ioReady(_ readiness: Readiness) {
        if isConnecting { return connectEnded() }
        guard let exchange else { return pool.lost(self) }  // an idle peer closed, or spoke out of turn
        if readiness.contains(.writable) {
            exchange.upstreamWritable(self)
            // The exchange may have ended, and another may have begun on this connection.
            guard self.exchange === exchange else { return }
        }
        if mayRead, isOpen { exchange.upstreamReadable(self) }
    }

    override func deadlinePassed() {
        guard let exchange else { return pool.lost(self) }
        exchange.upstreamDeadlinePassed(isConnecting: isConnecting)
    }

    /// The exchange has ended whole and the peer keeps the connection open.
    func servedOne() {
        useCount += 1
        answeredPass = loop.passCount
        exchange = nil
        input.release()
        output.release()
    }

    private func connectEnded() { connected(errno: takeError()) }

    /// - Parameter errno: how the connect ended; 0 is well.
    func connected(errno: CInt) {
        guard isConnecting else { return }
        isConnecting = false
        exchange?.upstreamConnected(self, errno: errno)
    }

    /// Ends it, once its exchange has done with it.
    func end() {
        if let session { pool.endStream(self, of: session) } else { pool.closeSocket(self) }
    }
}
