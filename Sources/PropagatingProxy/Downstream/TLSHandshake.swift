// SPDX-License-Identifier: Apache-2.0
import EventLoop
import TLS

/// A connection whose TLS handshake runs. It holds nothing but the session; when the handshake has ended, another object
/// goes on with the connection.
final class TLSHandshake: Socket, Downstream {
    let worker: Worker
    let listener: ListenerContext
    let slot: Int
    let peer: SocketAddress
    let session: TLSSession
    let context: ServerContext
    private var isWaitingForTurn = false
    /// Monotonic microseconds since which OpenSSL holds memory for it; 0: not yet.
    private(set) var begunAt: UInt64 = 0

    init(
        _ descriptor: consuming Descriptor, _ session: TLSSession, of context: ServerContext, peer: SocketAddress,
        listener: ListenerContext, slot: Int, worker: Worker
    ) {
        self.worker = worker
        self.listener = listener
        self.slot = slot
        self.peer = peer
        self.session = session
        self.context = context
        super.init(descriptor, carrier: session, on: worker.loop)
        setDeadline(milliseconds: listener.timeouts.tlsHandshakeMilliseconds)
    }

    override func ioReady(_ readiness: Readiness) {
        guard !isWaitingForTurn else { return }
        if worker.handshakes.admits(self) { advance() } else { isWaitingForTurn = true }
    }

    /// See ``HandshakeQueue``.
    func turnCame() {
        isWaitingForTurn = false
        if isOpen { advance() }
    }

    private func advance() {
        switch session.handshake() {
        case .waiting: noteBegun()
        case .done: worker.continueSecured(self)
        case .failed(.notTLS) where saysHTTP: worker.refusePlain(self)
        case .failed(let failure): worker.endHandshake(self, failure)
        }
    }

    private func noteBegun() {
        guard begunAt == 0, session.hasBegun else { return }
        begunAt = Clock.monotonicMicroseconds
        worker.handshakeBegan()
    }

    /// A method begins with a letter, and so does HTTP/2's preface.
    private var saysHTTP: Bool {
        guard let byte = session.firstByte else { return false }
        return UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
    }

    override func deadlinePassed() { worker.endHandshake(self, .timedOut) }

    /// No request has come, so it may go when the worker finishes or memory runs short.
    var isIdle: Bool { true }
    func beginDrain() {}
    func sweep() {}
    func lookBehind() {}

    func abandon() {
        guard isOpen else { return }
        worker.handshakeLeft(self)
        close()
        worker.downstreamClosed(self)
    }
}
