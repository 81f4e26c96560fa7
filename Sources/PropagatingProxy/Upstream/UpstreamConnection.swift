// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2
import SpanEmitter
import TLS

/// One connection to one endpoint: connecting, idle in its pool, or carrying an exchange. Or one stream of an HTTP/2
/// connection, for a single exchange.
final class UpstreamConnection: Socket {
    /// Response bytes not yet passed on.
    var input: Buffer
    /// Request bytes the kernel has not taken yet.
    var output: Buffer
    /// The exchange it serves; `nil` while idle.
    var exchange: Exchange? {
        get { served?.object }
        set { served = newValue.map { Lent($0) } }
    }
    /// Its downstream connection owns it meanwhile, and then the worker, which frees none while events are told.
    private var served: Lent<Exchange>?
    let pool: EndpointPool
    /// Of ``pool``.
    let endpointID: EndpointID
    /// The peer's address as spans carry it.
    let endpoint: EndpointAddress
    /// What carries it, if it is no socket of its own. Held by the session of ``session``.
    private(set) var lentStream: Lent<HTTP2Stream>?
    /// The same, counted.
    var stream: HTTP2Stream? { lentStream?.object }
    var hasStream: Bool { lentStream != nil }
    private let session: HTTP2Upstream?
    /// From ``own()`` to ``disown()``: whoever else has it counts no reference.
    private var itself: UpstreamConnection?
    /// Between a socket of its own and the kernel; `nil` in the clear.
    private let tls: TLSLink?
    /// Of it, or of the session's.
    private(set) var security: SpanSecurity
    private(set) var isConnecting: Bool
    /// The connect has ended, the handshake of TLS has not.
    private var isShaking = false
    /// How many exchanges it has served whole. An idle one may have been closed by its peer just now.
    private(set) var useCount: UInt32 = 0
    /// The pass of the loop in which its last response ended.
    private(set) var answeredPass: UInt64 = 0

    /// - Parameter isConnecting: also while the handshake of TLS is still to come.
    init(
        _ descriptor: consuming Descriptor, isConnecting: Bool, tls: TLSLink?, pool: EndpointPool,
        buffers: BufferPool, on loop: EventLoop
    ) {
        input = Buffer(pool: buffers)
        output = Buffer(pool: buffers)
        self.pool = pool
        endpointID = pool.id
        endpoint = pool.endpoint
        self.isConnecting = isConnecting
        self.tls = tls
        security = SpanSecurity(tls)
        lentStream = nil
        session = nil
        super.init(descriptor, carrier: tls?.session, on: loop)
        if isConnecting { awaitWritable() }
    }

    /// One stream of an HTTP/2 connection.
    init(
        _ stream: Lent<HTTP2Stream>, of session: HTTP2Upstream, isConnecting: Bool, pool: EndpointPool,
        buffers: BufferPool
    ) {
        input = Buffer(pool: buffers)
        output = Buffer(pool: buffers)
        self.pool = pool
        endpointID = pool.id
        endpoint = pool.endpoint
        self.isConnecting = isConnecting
        tls = nil
        security = session.security
        lentStream = stream
        self.session = session
        useCount = UInt32(clamping: session.servedCount)
        super.init(carrier: stream.object, on: session.loop)
    }

    /// Another stream of the same HTTP/2 connection, when the last one has ended.
    func reuse(for stream: Lent<HTTP2Stream>, isConnecting: Bool) {
        lentStream = stream
        self.isConnecting = isConnecting
        useCount = 1
        if security == .unfinished, let session { security = session.security }
        stream.use { reopen(carrier: $0) }
    }

    /// A stream has ended, or is cut now.
    func rest() {
        rest(isCut: false)
        lentStream = nil
        input.release()
        output.release()
    }

    /// It has been opened: it is there until it is closed; one for streams until its HTTP/2 connection has closed, too.
    func own() {
        itself = self
        isKept = true
    }

    /// It has closed: it lasts for this pass.
    func disown() {
        loop.keepForThisPass(self)
        itself = nil
    }

    /// Whether the peer may have closed before it saw the request, through no fault of it.
    var mayLoseRace: Bool { useCount > 0 || hasStream }

    /// Whether the peer has neither spoken nor ended, as far as the loop knows.
    var isQuiet: Bool { !mayRead && !peerHasEnded && !isReported }

    override func ioReady(_ readiness: Readiness) {
        if isConnecting { return connectGoesOn() }
        guard let served else { return idleSpoke() }
        if readiness.contains(.writable) {
            served.use { $0.upstreamWritable(self) }
            // The exchange may have ended, and another may have begun on this connection.
            guard served.isSame(as: self.served) else { return }
        }
        if mayRead, isOpen { served.use { $0.upstreamReadable(self) } }
    }

    override func deadlinePassed() {
        guard let exchange else { return pool.lost(self) }
        let state = state
        if state == .shaking, session == nil { pool.noteNotSecured(.timedOut) }
        exchange.upstreamDeadlinePassed(connecting: state.timeout)
    }

    /// How far it has come, or the session whose stream it is.
    private var state: ConnectState {
        guard isConnecting else { return .open }
        return session?.state ?? (isShaking ? .shaking : .connecting)
    }

    /// The exchange has ended whole and the peer keeps the connection open.
    func servedOne() {
        useCount += 1
        answeredPass = loop.passCount
        exchange = nil
        input.release()
        output.release()
        tls?.keepTicket()
    }

    // MARK: Connecting

    private func connectGoesOn() {
        guard let tls else { return connected(errno: takeError()) }
        if !isShaking {
            let errno = takeError()
            guard errno == 0 else { return connected(errno: errno) }
            isShaking = true
        }
        switch tls.handshake() {
        case .waiting: return
        case .done: pool.secured(self, tls)
        case .failed(let failure):
            pool.noteNotSecured(failure)
            exchange?.connectFailed(.tlsFailed(failure))
        }
    }

    /// - Parameter errno: how the connect ended; 0 is well.
    func connected(errno: CInt) {
        guard isConnecting else { return }
        isConnecting = false
        if let tls { security = SpanSecurity(tls) } else if let session { security = session.security }
        exchange?.upstreamConnected(self, errno: errno)
    }

    // MARK: TLS

    /// An idle peer closed, or spoke out of turn; but TLS has things to say between two responses.
    private func idleSpoke() {
        guard isBusyWithTLS else { return pool.lost(self) }
        tls?.keepTicket()
    }

    /// Whether what came was for TLS alone, such as a ticket.
    var isBusyWithTLS: Bool { tls != nil && !peerHasEnded && peek() == .nothing }

    /// The peer's alert instead of the first response: with TLS 1.3 it judges our certificate after we have gone on.
    var refusal: TLSFailure? {
        let isFirst = session.map { !$0.hasHeard } ?? (useCount == 0)
        guard isFirst, let failure = (session?.tls ?? tls)?.session.failure, failure.isAlert else { return nil }
        return failure
    }

    /// Ends it, once its exchange has done with it.
    func end() {
        if let session { pool.endStream(self, of: session) } else { pool.closeSocket(self) }
    }
}
