// SPDX-License-Identifier: Apache-2.0
import EventLoop
import TLS

/// One end of a TLS connection: shakes hands, says what it was told to, and keeps what it reads.
final class TLSEnd: Socket {
    private let session: TLSSession
    private let pool: BufferPool
    private var unsent: ArraySlice<UInt8> = []
    private(set) var said: [UInt8] = []
    private(set) var read: [UInt8] = []
    private(set) var end: ReadOutcome?
    private(set) var progress = TLSSession.Progress.waiting
    private(set) var hasClosed = false
    /// Else it stays.
    var closesWhenSent = false

    init(_ descriptor: consuming Descriptor, _ session: TLSSession, pool: BufferPool, on loop: EventLoop) {
        self.session = session
        self.pool = pool
        super.init(descriptor, carrier: session, on: loop)
    }

    func say(_ bytes: [UInt8]) {
        said = bytes
        unsent = bytes[...]
    }

    override func ioReady(_ readiness: Readiness) { goOn() }

    func goOn() {
        guard isOpen else { return }
        if progress == .waiting { progress = session.handshake() }
        guard progress == .done else { return }
        write()
        readAll()
        guard closesWhenSent, unsent.isEmpty, isOpen else { return }
        hasClosed = true
        shutdownWrite()
    }

    private func write() {
        while !unsent.isEmpty {
            let half = unsent.count / 3
            let outcome = send(Array(unsent.prefix(half)).span, Array(unsent.dropFirst(half)).span)
            guard case .sent(let count) = outcome else {
                if outcome == .wouldBlock { awaitWritable() }
                return
            }
            unsent = unsent.dropFirst(count)
        }
    }

    private func readAll() {
        while mayRead, end == nil, isOpen {
            var buffer = Buffer(pool: pool)
            switch receive(into: &buffer) {
            case .bytes: read += copy(buffer)
            case .wouldBlock, .full: return
            case let outcome: end = outcome
            }
        }
    }
}
