// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2
import SpanEmitter
import TLS

/// One HTTP/2 connection to one endpoint, shared by the exchanges that have a stream of it.
final class HTTP2Upstream: HTTP2Connection {
    /// Without a stream; shorter than what gRPC servers and meshes keep open.
    private static let idleMilliseconds = 60_000
    /// For bytes the peer does not read.
    private static let stallMilliseconds = 30_000

    private let pool: EndpointPool
    private let buffers: BufferPool
    /// Between the frames and the kernel; `nil` in the clear.
    let tls: TLSLink?
    private(set) var state: ConnectState
    private var isConnecting: Bool { state != .open }
    /// Streams taken before the connection stood.
    private var waiting: [UpstreamConnection] = []
    private(set) var servedCount = 0
    /// For streams to come; as many as were open at once. Each is its own until this connection has closed.
    private var spare: [Lent<UpstreamConnection>] = []
    private var idleDeadlineRuns = false

    init(
        _ descriptor: consuming Descriptor, tls: TLSLink?, state: ConnectState, connectMilliseconds: Int,
        pool: EndpointPool,
        supplies: SessionSupplies, on loop: EventLoop
    ) throws(HTTP2Error) {
        self.pool = pool
        buffers = supplies.buffers
        self.tls = tls
        self.state = state
        let session = try supplies.session(.client)
        super.init(
            descriptor, session, carrier: tls?.session, isConnecting: state != .open, supplies: supplies, on: loop)
        if isConnecting {
            awaitWritable()
            setDeadline(milliseconds: connectMilliseconds)
        } else {
            flushSoon()
        }
    }

    var isIdle: Bool { session.streamCount == 0 }
    /// Of its TLS, for spans.
    var security: SpanSecurity { SpanSecurity(tls) }

    func openStream() -> Lent<UpstreamConnection>? {
        guard isOpen, let stream = session.open() else { return nil }
        let connection = connection(for: stream)
        if isConnecting { waiting.append(connection.object) }
        servedCount += 1
        idleDeadlineRuns = false
        return connection
    }

    private func connection(for stream: Lent<HTTP2Stream>) -> Lent<UpstreamConnection> {
        guard let connection = spare.popLast() else {
            let made = UpstreamConnection(stream, of: self, isConnecting: isConnecting, pool: pool, buffers: buffers)
            made.own()
            return Lent(made)
        }
        connection.use { $0.reuse(for: stream, isConnecting: isConnecting) }
        return connection
    }

    func keep(_ connection: UpstreamConnection) {
        if isOpen { spare.append(Lent(connection)) } else { connection.disown() }
    }

    override var mayTakeMore: Bool { super.mayTakeMore && !isConnecting }

    override func ioReady(_ readiness: Readiness) {
        if isConnecting { connectGoesOn() }
        if isOpen, !isConnecting { super.ioReady(readiness) }
    }

    private func connectGoesOn() {
        if state == .connecting {
            let errno = takeError()
            guard errno == 0 else { return connectFailed(.connectFailed(errno: errno)) }
            state = .shaking
        }
        guard let tls else { return connectEnded() }
        switch tls.handshake() {
        case .waiting: return
        case .done: secured(tls)
        case .failed(let failure): notSecured(failure)
        }
    }

    private func secured(_ tls: TLSLink) {
        pool.noteSecured(tls.session)
        if tls.session.selectedProtocol == .http2 { return connectEnded() }
        guard pool.settings.httpVersion == .auto else { return connectFailed(.tlsFailed(.noALPN)) }
        pool.continueAsHTTP1(self, tls, waiting: takeWaiting())
    }

    private func notSecured(_ failure: TLSFailure) {
        pool.noteNotSecured(failure)
        connectFailed(.tlsFailed(failure))
    }

    private func connectEnded() {
        state = .open
        setDeadline(milliseconds: nil)
        if tls != nil, pool.settings.httpVersion == .auto { pool.learn(speaksHTTP2: true) }
        sendingMayBegin()
        for stream in takeWaiting() { stream.connected(errno: 0) }
        flushSoon()
    }

    /// Every exchange that waits for a stream of it is told.
    private func connectFailed(_ error: ProxyError) {
        leavePool()
        for stream in takeWaiting() { stream.exchange?.connectFailed(error) }
        lose()
    }

    private func takeWaiting() -> [UpstreamConnection] {
        defer { waiting.removeAll() }
        return waiting
    }

    override func settle() {
        tls?.keepTicket()
        if session.goAwayReceived != nil || pool.isRetired || !pool.speaksHTTP2 {
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
        if let error = state.timeout {
            if state == .shaking { pool.noteNotSecured(.timedOut) }
            return connectFailed(error)
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
        for connection in spare { connection.use { $0.disown() } }
        spare.removeAll()
        leavePool()
    }
}
