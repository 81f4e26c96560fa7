// SPDX-License-Identifier: Apache-2.0
import EventLoop
import SpanEmitter

/// One worker's connections to one address. The most recently used idle connection goes first,
/// so the others can reach their idle timeout.
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
    private let settings: Configuration.UpstreamSettings
    private let loop: EventLoop
    private let buffers: BufferPool
    private var idle: [UpstreamConnection] = []
    /// Open connections, idle ones among them.
    private(set) var openCount = 0
    var idleCount: Int { idle.count }
    /// Connections that carry an exchange or are being made for one.
    var busyCount: Int { openCount - idle.count }

    init(
        _ address: SocketAddress, id: EndpointID, record: EndpointRecord?, judge: EjectionJudge?,
        settings: Configuration.UpstreamSettings, buffers: BufferPool, on loop: EventLoop
    ) {
        self.record = record
        self.judge = judge
        self.id = id
        self.address = address
        endpoint = EndpointAddress(address)
        self.settings = settings
        self.buffers = buffers
        self.loop = loop
    }

    /// Called once for each attempt at this endpoint, when it has ended.
    func noteOutcome(_ outcome: AttemptOutcome) {
        guard let judge, let record else { return }
        judge.note(outcome, at: record)
    }

    /// An idle connection that nobody has closed as far as is known.
    func takeIdle() -> UpstreamConnection? { idle.popLast() }

    /// A new connection for the exchange, still connecting or (unix sockets) connected.
    func connect() -> Result<UpstreamConnection, ProxyError> {
        switch Connecting.start(address) {
        case .failed(let errno): .failure(.connecting(errno: errno))
        case .inProgress(let descriptor): .success(open(descriptor, isConnecting: true))
        case .connected(let descriptor): .success(open(descriptor, isConnecting: false))
        }
    }

    private func open(_ descriptor: consuming Descriptor, isConnecting: Bool) -> UpstreamConnection {
        openCount += 1
        return UpstreamConnection(
            descriptor, isConnecting: isConnecting, pool: self, buffers: buffers, on: loop)
    }

    /// Takes back a connection whose exchange has ended whole.
    func giveBack(_ connection: UpstreamConnection) {
        connection.servedOne()
        guard idle.count < settings.maximumIdle, !connection.peerHasEnded else { return close(connection) }
        connection.setDeadline(milliseconds: settings.poolIdleMilliseconds)
        idle.append(connection)
    }

    /// Closes a connection that cannot be used again.
    func close(_ connection: UpstreamConnection) {
        guard connection.isOpen else { return }
        openCount -= 1
        connection.exchange = nil
        connection.close()
        connection.input.release()
        connection.output.release()
    }

    /// An idle connection was closed by its peer or by its idle timeout.
    func lost(_ connection: UpstreamConnection) {
        idle.removeAll { $0 === connection }
        close(connection)
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

    /// Closes what is idle; used when the address is gone or the worker stops.
    func closeIdle() {
        let closing = idle
        idle.removeAll()
        for connection in closing { close(connection) }
    }
}
