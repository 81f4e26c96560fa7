// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import TLS

/// One connection to a collector: carries one post at a time and reads its response.
final class CollectorConnection: Socket {
    /// What became of a post.
    enum Outcome {
        case response(CollectorResponse)
        /// The connection did not come about.
        case unreachable(reason: String)
        /// No response. `mayBeStale`: the connection had been idle, and the collector had closed it.
        case failed(reason: String, mayBeStale: Bool)
    }

    /// At most so much of a response is read.
    private static let maximumBody = 4 << 20

    private let timeoutMilliseconds: Int
    private var isConnecting: Bool
    /// `nil` for a plain connection.
    private let tls: TLSLink?
    /// The connect has ended, the handshake of TLS has not.
    private var isShaking = false
    /// Of the post under way: what precedes the spans.
    private var head = ByteWriter(capacity: 0)
    private var spans: SpanBatch?
    private var sent = 0
    private var received: Buffer
    private var fields = FieldTable()
    private var reader: CollectorResponseReader?
    private var served = 0
    private var receivedAny = false
    private var done: ((Outcome) -> Void)?

    init(
        _ descriptor: consuming Descriptor, isConnecting: Bool, tls: TLSLink?, on loop: EventLoop,
        buffers: BufferPool, timeoutMilliseconds: Int
    ) {
        self.isConnecting = isConnecting || tls != nil
        self.tls = tls
        self.timeoutMilliseconds = timeoutMilliseconds
        received = Buffer(pool: buffers)
        super.init(descriptor, carrier: tls?.session, on: loop)
        if self.isConnecting { awaitWritable() }
    }

    /// Sends a post. One at a time.
    ///
    /// - Parameters:
    ///   - head: of the message, and what precedes the spans in its body.
    ///   - spans: in their frame; not changed before `done` is called.
    ///   - done: called once, unless ``close()`` comes first; never before this returns.
    func send(_ head: consuming ByteWriter, _ spans: SpanBatch, isOTLP: Bool, done: @escaping (Outcome) -> Void) {
        self.head = head
        self.spans = spans
        self.done = done
        sent = 0
        receivedAny = false
        reader = CollectorResponseReader(keepsBody: isOTLP, limit: Self.maximumBody)
        setDeadline(milliseconds: timeoutMilliseconds)
        if !isConnecting { resumeSoon() }
    }

    var isIdle: Bool { done == nil }

    override func ioReady(_ readiness: Readiness) {
        if isConnecting {
            guard isShaking || readiness.contains(.writable) || readiness.contains(.ended), connects() else { return }
            isConnecting = false
        }
        // Between two posts TLS may have something to say to itself.
        if let tls, isIdle, peek() == .nothing { return tls.keepTicket() }
        write()
        read()
    }

    /// - Returns: whether the connection stands now.
    private func connects() -> Bool {
        if !isShaking {
            let error = takeError()
            guard error == 0 else {
                finish(.unreachable(reason: errorText(error)))
                return false
            }
            isShaking = true
        }
        switch tls?.handshake() {
        case .done, nil: return true
        case .waiting: return false
        case .failed(let failure):
            finish(.unreachable(reason: "TLS failed: \(failure.reason)"))
            return false
        }
    }

    override func deadlinePassed() {
        guard isConnecting else { return finish(.failed(reason: "timed out", mayBeStale: false)) }
        finish(.unreachable(reason: isShaking && tls != nil ? "timed out in the TLS handshake" : "timed out"))
    }

    private func write() {
        guard isOpen, let spans else { return }
        while !isSent {
            switch spans.withFramed({ sendRest(of: head, $0) }) {
            case .sent(let count): sent += count
            case .wouldBlock: return awaitWritable()
            case .failed(let error): return writeFailed(error)
            }
        }
    }

    /// What the peer said before it closed tells more than that it closed.
    private func writeFailed(_ errno: CInt) {
        if tls != nil {
            assumeReadable()
            read()
        }
        if isOpen { broken(errorText(errno)) }
    }

    /// A collector that refuses our certificate says so after the handshake, with TLS 1.3.
    private func failureText(_ errno: CInt) -> String {
        guard let failure = tls?.session.failure else { return errorText(errno) }
        return "TLS failed: \(failure.reason)"
    }

    private func sendRest(of head: borrowing ByteWriter, _ spans: Span<UInt8>) -> WriteOutcome {
        let left = head.span.extracting(droppingFirst: sent)
        return left.isEmpty ? send(spans.extracting(droppingFirst: sent - head.count)) : send(left, spans)
    }

    private var isSent: Bool { sent >= head.count + (spans?.framedCount ?? 0) }

    private func read() {
        while isOpen, mayRead {
            switch receive(into: &received) {
            case .bytes: take()
            case .wouldBlock: return
            case .endOfStream: return ended()
            case .full: return broken("the response's head is too large")
            case .failed(let error): return broken(failureText(error))
            }
        }
    }

    private func take() {
        guard done != nil, var reader else { return close() }  // nobody asked: the connection is of no use
        receivedAny = true
        do throws(SyntaxError) {
            let response = try reader.read(&received, fields: &fields)
            self.reader = reader
            if let response { complete(response) }
        } catch {
            broken("the response is malformed")
        }
    }

    private func ended() {
        if done != nil, let response = reader?.responseAtEnd() { return complete(response) }
        broken("the collector closed the connection")
    }

    private func complete(_ response: CollectorResponse) {
        served += 1
        tls?.keepTicket()
        setDeadline(milliseconds: nil)
        // An early answer leaves the rest of the post unsent: the connection cannot go on.
        if !response.keepAlive || !isSent || !received.isEmpty { close() }
        received.releaseIfEmpty()
        report(.response(response))
    }

    private func broken(_ reason: String) {
        finish(.failed(reason: reason, mayBeStale: served > 0 && !receivedAny))
    }

    private func finish(_ outcome: Outcome) {
        close()
        report(outcome)
    }

    private func report(_ outcome: Outcome) {
        let done = done
        self.done = nil
        spans = nil
        reader = nil
        done?(outcome)
    }

    /// The head's memory, for the next one.
    func takeHead() -> ByteWriter {
        var taken = ByteWriter(capacity: 0)
        swap(&taken, &head)
        taken.truncate(to: 0)
        return taken
    }
}
