// SPDX-License-Identifier: Apache-2.0
import EventLoop
import SpanEmitter
import TLS

/// One worker's connections to one address. The most recently used idle connection goes first,
/// so the others can reach their idle timeout.
///
/// A response on a reused connection must be the answer to the request just sent (RFC 9112 §6.3). So an idle
/// connection is taken only if the loop has asked the kernel about it since its last response, and has heard
/// nothing; one that came back in this very pass of the loop is taken only for want of another, after a look.
final class EndpointPool {
    let id: EndpointID
    let address: SocketAddress
    /// The address as spans carry it.
    let endpoint: EndpointAddress
    /// What the process knows of it; `nil` beyond the board's bound.
    let record: EndpointRecord?
    /// `nil`: nobody is ejected.
    private let judge: EjectionJudge?
    /// Whether requests may be sent to it: it is available, or too few are.
    var isUsable = true
    private var publishedCount = 0
    /// Number of the upstream, from 1.
    let upstream: UInt16
    /// `nil`: the endpoint is spoken to in the clear.
    let tls: TLSDestination?
    /// Whether new connections carry streams. With `protocol: auto` a guess, until ALPN has chosen.
    private(set) var speaksHTTP2: Bool
    let settings: Configuration.UpstreamSettings
    /// Of the upstream, shared with its other endpoints.
    let capacity: UpstreamCapacity
    private var idleLimit: Int
    let loop: EventLoop
    let supplies: SessionSupplies
    /// HTTP/2 connections that take streams.
    var sessions: [HTTP2Upstream] = []
    /// Exchanges that have a stream of them.
    var streamCount = 0
    /// The address is gone, or the worker ends.
    private(set) var isRetired = false
    /// Open ones, each its own owner.
    private var idle: [Lent<UpstreamConnection>] = []
    /// The first so many of ``idle`` were there when this pass of the loop began.
    private var lookedAtCount = 0
    private var lookedAtPass: UInt64 = 0
    /// Open connections, idle ones among them.
    private(set) var openCount = 0
    var idleCount: Int { idle.count }
    /// Connections that carry an exchange or are being made for one.
    var busyCount: Int { openCount - sessions.count - idle.count + streamCount }

    /// - Parameter tls: `nil`: in the clear.
    init(
        _ address: SocketAddress, id: EndpointID, record: EndpointRecord?, judge: EjectionJudge?,
        upstream: UInt16 = 0, tls: TLSDestination? = nil, settings: Configuration.UpstreamSettings,
        capacity: UpstreamCapacity, supplies: SessionSupplies,
        on loop: EventLoop
    ) {
        self.record = record
        self.judge = judge
        self.id = id
        self.address = address
        endpoint = EndpointAddress(address)
        self.upstream = upstream
        self.tls = tls
        self.settings = settings
        speaksHTTP2 = settings.httpVersion != .http1
        self.capacity = capacity
        idleLimit = settings.maximumIdle
        self.supplies = supplies
        self.loop = loop
        capacity.add(self)
    }

    /// Called once for each attempt at this endpoint, when it has ended.
    func noteOutcome(_ outcome: AttemptOutcome) {
        guard let judge, let record else { return }
        judge.note(outcome, at: record)
    }

    /// An idle connection or a new one, as far as the upstream's bounds allow.
    func take(_ wish: Wish) -> Upstream.Acquisition {
        if speaksHTTP2 { return takeStream() }
        if !wish.isFresh, let connection = takeIdle() { return .ready(connection) }
        if !capacity.mayOpen {
            // Idle connections of other endpoints hold what this one lacks.
            if !wish.isFresh, wish.hash == 0, let connection = capacity.takeIdle(except: self) {
                return .ready(connection)
            }
            guard capacity.makeRoom() else { return .full }
        }
        switch connect() {
        case .success(let connection):
            return connection.isConnecting ? .connecting(Lent(connection)) : .ready(Lent(connection))
        case .failure(let error): return .failed(error, pool: self)
        }
    }

    // MARK: Idle connections

    /// An idle connection that has said nothing since its last response, as far as can be known.
    func takeIdle() -> Lent<UpstreamConnection>? {
        beginPass()
        while !idle.isEmpty {
            guard lookedAtCount > 0 else { return takeUnseen() }
            lookedAtCount -= 1
            // Those of this pass stand above: the last one moves into the gap.
            if lookedAtCount != idle.count - 1 { idle.swapAt(lookedAtCount, idle.count - 1) }
            let connection = idle.removeLast()
            capacity.leftIdle()
            if connection.use({ $0.isQuiet || $0.isBusyWithTLS }) { return connection }
            close(connection.object)
        }
        return nil
    }

    /// One that came back in this pass: the kernel is asked, which costs a system call.
    private func takeUnseen() -> Lent<UpstreamConnection>? {
        while let connection = idle.popLast() {
            capacity.leftIdle()
            if connection.use({ ($0.isQuiet || $0.isBusyWithTLS) && $0.peek() == .nothing }) { return connection }
            close(connection.object)
        }
        return nil
    }

    private func beginPass() {
        guard lookedAtPass != loop.passCount else { return }
        lookedAtPass = loop.passCount
        lookedAtCount = idle.count
    }

    /// Takes back a connection whose exchange has ended whole.
    func giveBack(_ connection: UpstreamConnection) {
        guard !connection.hasStream else { return connection.end() }
        connection.servedOne()
        // A response that filled the buffer to its last byte may have more behind it, of which no event tells.
        if connection.mayRead { _ = connection.peek() }
        guard connection.isQuiet else { return close(connection) }
        keepIdle(connection)
    }

    /// Keeps a connection that nobody uses, if it may.
    func keepIdle(_ connection: UpstreamConnection) {
        guard idle.count < idleLimit else { return close(connection) }
        connection.setDeadline(milliseconds: settings.poolIdleMilliseconds)
        beginPass()
        idle.append(Lent(connection))
        capacity.becameIdle()
        capacity.serve()
    }

    /// An idle connection was closed by its peer or by its idle timeout, or it spoke out of turn.
    func lost(_ connection: UpstreamConnection) {
        if let index = idle.firstIndex(where: { $0.isSame(as: Lent(connection)) }) {
            idle.remove(at: index)
            capacity.leftIdle()
            if index < lookedAtCount { lookedAtCount -= 1 }
        }
        close(connection)
    }

    /// A reused connection has broken before it answered. An idle one that has not answered since then may be as
    /// dead, its peer gone without a word, and would cost a request each.
    ///
    /// - Returns: how many were closed.
    func distrust(olderThan broken: UpstreamConnection) -> Int {
        let old = idle.map(\.object).filter { $0.answeredPass <= broken.answeredPass }
        for connection in old { lost(connection) }
        return old.count
    }

    /// Makes room for a connection to another endpoint.
    func closeOldest() {
        if let oldest = idle.first { lost(oldest.object) }
    }

    /// The address is gone, or the worker ends: what is idle is closed, and so is what comes back later.
    func retire() {
        idleLimit = 0
        isRetired = true
        closeIdle()
        capacity.remove(self)
    }

    /// Closes what is idle; used when the worker stops.
    func closeIdle() {
        closeIdleConnections()
        for session in sessions where isRetired || session.isIdle { session.retire() }
    }

    private func closeIdleConnections() {
        let closing = idle
        idle.removeAll()
        capacity.leftIdle(closing.count)
        lookedAtCount = 0
        for connection in closing { close(connection.object) }
    }

    // MARK: Opening and closing

    /// A new connection for the exchange, still connecting or (unix sockets) connected.
    func connect() -> Result<UpstreamConnection, ProxyError> {
        switch link() {
        case .failure(let error): .failure(error)
        case .success(let link): connect(link)
        }
    }

    private func connect(_ link: TLSLink?) -> Result<UpstreamConnection, ProxyError> {
        switch Connecting.start(address) {
        case .failed(let errno): .failure(.connecting(errno: errno))
        case .inProgress(let descriptor): .success(open(descriptor, link, isConnecting: true))
        case .connected(let descriptor): .success(open(descriptor, link, isConnecting: link != nil))
        }
    }

    func open(_ descriptor: consuming Descriptor, _ link: TLSLink?, isConnecting: Bool) -> UpstreamConnection {
        openCount += 1
        capacity.opened()
        let connection = UpstreamConnection(
            descriptor, isConnecting: isConnecting, tls: link, pool: self, buffers: supplies.buffers, on: loop)
        connection.own()
        return connection
    }

    /// What ALPN has chosen for the newest connection. Of the other kind what is idle would only take up room.
    func learn(speaksHTTP2: Bool) {
        guard self.speaksHTTP2 != speaksHTTP2 else { return }
        self.speaksHTTP2 = speaksHTTP2
        if speaksHTTP2 { return closeIdleConnections() }
        for session in sessions where session.isIdle { session.retire() }
    }

    /// Closes a connection that cannot be used again.
    func close(_ connection: UpstreamConnection) {
        guard connection.isOpen else { return }
        connection.end()
    }

    func sessionOpened() {
        openCount += 1
        capacity.opened()
        capacity.becameIdle()
    }

    func sessionClosed() {
        openCount -= 1
        capacity.leftIdle()
        capacity.closed()
    }

    /// A connection of its own.
    func closeSocket(_ connection: UpstreamConnection) {
        openCount -= 1
        capacity.closed()
        connection.exchange = nil
        connection.close()
        connection.input.release()
        connection.output.release()
        connection.disown()
        capacity.serve()
    }

    // MARK: The process's view

    /// Whether its checks pass and it is not ejected.
    var isAvailable: Bool { record?.isAvailable ?? true }
    /// The same for this address wherever it is known.
    var stableName: UInt64 {
        var hash = StableHash()
        for byte in address.description.utf8 { hash.add(byte) }
        return hash.value
    }

    /// Tells the process how busy it is; noted about once a second.
    func publishBusy() {
        record?.addActive(busyCount - publishedCount)
        publishedCount = busyCount
    }

    /// The address is gone, or the worker ends: nothing of it is told any more.
    func retractBusy() {
        record?.addActive(-publishedCount)
        publishedCount = 0
    }
}
