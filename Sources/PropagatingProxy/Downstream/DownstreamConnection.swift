// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import HTTP2
import SpanEmitter

/// One connection from a downstream peer: reads heads one after another and gives each to an
/// exchange; pipelined requests wait in the kernel or in ``input`` until the one before them ends.
/// Or one stream of an HTTP/2 connection, for a single request.
final class DownstreamConnection: Socket, Downstream {
    private enum State: BitwiseCopyable {
        case readingHead
        case exchanging
        /// The last response is out; what the peer still sends is read and dropped, so that our
        /// close does not become a reset that destroys the response on its way (RFC 9112 §9.6).
        case lingering
        case closed
    }

    /// What a lingering close reads at most.
    private static let lingerByteLimit = 65_536
    private static let lingerMilliseconds = 1000
    /// So often again for a slow peer that has not taken TLS's last words: without them it takes all for cut.
    private static let lingerRoundLimit = 30

    let worker: Worker
    let listener: ListenerContext
    /// The peer's address, as spans and as `X-Forwarded-For` carry it.
    let peerEndpoint: EndpointAddress
    let peerText: IPText
    /// Whether the listener takes the peer's word; false for an outsider.
    let isTrusted: Bool
    /// `nil`: a plain connection.
    let security: DownstreamSecurity?
    /// Whether X-Forwarded-Client-Cert goes on as it came.
    let keepsCertificateField: Bool
    /// Received bytes: a head, body bytes, or requests that wait their turn.
    var input: Buffer
    /// Response bytes the kernel has not taken yet.
    var output: Buffer
    /// Bytes at the front of ``input`` that have gone upstream and are kept for a replay.
    var retainedCount = 0
    /// Its place in the worker's table, or in that of the HTTP/2 connection.
    let slot: Int
    /// What carries it, if it is no socket of its own. Held by the session of ``parent``.
    private(set) var lentStream: Lent<HTTP2Stream>?
    /// The same, counted.
    var stream: HTTP2Stream? { lentStream?.object }
    var hasStream: Bool { lentStream != nil }
    private let parent: HTTP2Downstream?
    /// The same, uncounted: this object holds it.
    private let lentParent: Lent<HTTP2Downstream>?
    private var state = State.readingHead
    private var exchange: Exchange?
    /// Monotonic microseconds by which the exchange must have ended, as its caller says; 0: whenever.
    var due: UInt64 = 0
    /// How many bytes of an incomplete head were looked at.
    private var seenCount = 0
    /// Its request has no body, and is the last it may send (RFC 9112 §9.6): nothing has to be waited for behind the
    /// response. With TLS something has: the caller's close_notify.
    private var callerIsDone = false
    private var isServing = false
    private var lingeredCount = 0
    private var lingerRounds = 0
    private(set) var servedCount = 0
    /// A deadline of ours is running, so a dripping head does not renew it.
    private var headDeadlineRuns = false

    /// - Parameters:
    ///   - carrier: TLS, whose handshake has ended; `nil` for a plain connection.
    ///   - security: of the same.
    init(
        _ descriptor: consuming Descriptor, carrier: Carrier? = nil, _ security: DownstreamSecurity? = nil,
        peer: SocketAddress, listener: ListenerContext, slot: Int, worker: Worker
    ) {
        self.worker = worker
        self.listener = listener
        peerEndpoint = EndpointAddress(peer)
        peerText = IPText(peer)
        isTrusted = listener.trusts(peer)
        self.security = security
        keepsCertificateField =
            isTrusted && listener.callerCertificateField.keeps(hasCertificate: security?.hasCertificate ?? false)
        self.slot = slot
        lentStream = nil
        parent = nil
        lentParent = nil
        input = Buffer(pool: worker.buffers)
        output = Buffer(pool: worker.buffers)
        super.init(descriptor, carrier: carrier, on: worker.loop)
        isKept = true  // by the worker's table
        setDeadline(milliseconds: listener.timeouts.requestHeadMilliseconds)
    }

    /// One stream of an HTTP/2 connection.
    init(_ stream: HTTP2Stream, of parent: HTTP2Downstream, slot: Int) {
        worker = parent.worker
        listener = parent.listener
        peerEndpoint = parent.peerEndpoint
        peerText = parent.peerText
        isTrusted = parent.isTrusted
        security = parent.security
        keepsCertificateField =
            isTrusted && listener.callerCertificateField.keeps(hasCertificate: security?.hasCertificate ?? false)
        self.slot = slot
        lentStream = Lent(stream)
        self.parent = parent
        lentParent = Lent(parent)
        input = Buffer(pool: worker.buffers)
        output = Buffer(pool: worker.buffers)
        super.init(carrier: stream, on: worker.loop)
    }

    /// Another stream of the same HTTP/2 connection, when the last one has ended.
    func reuse(for stream: HTTP2Stream) {
        lentStream = Lent(stream)
        state = .readingHead
        (retainedCount, seenCount, due) = (0, 0, 0)
        reopen(carrier: stream)
    }

    /// The stream's request head has arrived.
    func beginStream() {
        if stream?.refusal == 431 { refuse(.headTooLarge) } else { carrierReady(.readable) }
    }

    override func ioReady(_ readiness: Readiness) {
        switch state {
        case .readingHead: serve()
        case .exchanging:
            guard let exchange else { return }
            if readiness.contains(.writable) { exchange.downstreamWritable(self) }
            if mayRead, self.exchange === exchange { exchange.downstreamReadable(self) }
        case .lingering: linger()
        case .closed: break
        }
    }

    override func deadlinePassed() {
        switch state {
        case .readingHead where input.isEmpty: end()
        case .readingHead: refuse(.requestTimedOut)
        case .exchanging: exchange?.downstreamDeadlinePassed(self)
        case .lingering where holdsUnsent && lingerRounds < Self.lingerRoundLimit:
            lingerRounds += 1
            setDeadline(milliseconds: Self.lingerMilliseconds)
        case .lingering, .closed: end()
        }
    }

    /// A deadline, brought forward to ``due``.
    func setDeadline(withinDue milliseconds: Int?) {
        guard due > 0 else { return setDeadline(milliseconds: milliseconds) }
        let now = Clock.monotonicMicroseconds
        let left = due > now ? Int(clamping: (due - now) / 1000) : 0
        setDeadline(milliseconds: min(left, milliseconds ?? left))
    }

    /// Whether the caller's deadline has passed, but for the time that clocks and roundings differ.
    var isOverdue: Bool { due > 0 && Clock.monotonicMicroseconds + 20_000 >= due }

    /// What becomes of X-Forwarded-For, -Proto and -Host: an outsider's never go on.
    var forwardedPolicy: Configuration.ForwardedPolicy {
        isTrusted || listener.forwarded == .off ? listener.forwarded : .overwrite
    }

    /// Idle between two requests.
    var isIdle: Bool {
        if case .readingHead = state { return input.isEmpty }
        return false
    }

    // MARK: Heads

    /// Reads and begins one exchange after another, until bytes or an exchange must be waited for.
    private func serve() {
        guard !isServing else { return }
        isServing = true
        defer { isServing = false }
        while case .readingHead = state, readHead() {}
    }

    /// - Returns: whether to go on at once.
    private func readHead() -> Bool {
        if input.count > seenCount {
            do throws(SyntaxError) {
                if let lentStream, lentStream.use(\.hasLines) {
                    begin(try readHead(input, of: lentStream).get(), of: lentStream)
                    return true
                }
                let progress = try parseRequestHead(
                    input.readable, alreadySeen: seenCount, limits: listener.headLimits, fields: &worker.fields)
                if case .complete(let head) = progress {
                    if let lentStream {
                        begin(head, of: lentStream)
                    } else if listener.httpVersion == .http2 {
                        refuse(.malformedRequest(.unsupportedVersion))
                    } else {
                        begin(head)
                    }
                    return true
                }
                seenCount = input.count
                if worker.isPressed, worker.overloadStage >= .requests {
                    refuse(.overloaded)
                    return false
                }
            } catch {
                if error == .unsupportedVersion, takesPreface() { return false }
                refuse(beginsWithHandshake(input) ? .tlsOnPlainPort : .malformedRequest(error))
                return false
            }
        }
        guard mayRead else { return awaitBytes() }
        switch receive(into: &input) {
        case .bytes: return true
        case .wouldBlock: return awaitBytes()
        case .full: refuse(input.isFull ? .headTooLarge : .outOfBuffers)
        case .endOfStream, .failed: end()
        }
        return false
    }

    /// A stream's head comes with its lines.
    private func readHead(
        _ input: borrowing Buffer, of stream: Lent<HTTP2Stream>
    ) -> Result<RequestHead, SyntaxError> {
        stream.use { stream in
            defer { stream.forgetLines() }
            return Result { () throws(SyntaxError) in
                try readRequestHead(
                    input.readable, lines: stream.lines, limits: listener.headLimits, fields: &worker.fields)
            }
        }
    }

    private func awaitBytes() -> Bool {
        if input.isEmpty {
            input.release()
        } else if !headDeadlineRuns {
            headDeadlineRuns = true
            setDeadline(milliseconds: listener.timeouts.requestHeadMilliseconds)
        }
        return false
    }

    /// A stream ends by itself: the body reaches as far as it does.
    private func begin(_ received: RequestHead, of stream: Lent<HTTP2Stream>) {
        var head = received
        if head.framing == .none, !stream.use(\.endedWithHead) { head.framing = .untilClose }
        begin(head)
    }

    private func begin(_ head: RequestHead) {
        seenCount = 0
        headDeadlineRuns = false
        state = .exchanging
        callerIsDone = !head.keepAlive && head.framing == .none && carrier == nil
        let exchange = worker.takeExchange()
        let begun = Lent(exchange)
        self.exchange = consume exchange
        begun.use { $0.begin(head, from: self) }  // the worker frees none before the next turn
    }

    /// Answers what cannot be an exchange, and closes.
    private func refuse(_ error: ProxyError) {
        seenCount = 0
        state = .exchanging
        let exchange = worker.takeExchange()
        self.exchange = exchange
        exchange.refuse(error, from: self)
    }

    /// A record of TLS begins with this byte, and no request does.
    private func beginsWithHandshake(_ input: borrowing Buffer) -> Bool {
        guard security == nil, !hasStream, servedCount == 0, !input.isEmpty else { return false }
        return input.readable[0] == 0x16  // bounded: not empty
    }

    /// Plain HTTP has come where the listener speaks TLS.
    func refusePlain() { refuse(.plainHTTP) }

    /// The handshake has failed and the peer is told why: what it still sends is read, so that our close does not
    /// destroy that.
    func lingerOnly() { closeGracefully() }

    // MARK: HTTP/2

    /// The first bytes may be HTTP/2's preface (RFC 9113 §3.4); then another object goes on with the connection.
    private func takesPreface() -> Bool {
        guard !hasStream, servedCount == 0, listener.httpVersion != .http1, security?.selectedProtocol == nil,
            beginsWithPreface(input)
        else { return false }
        let carrier = carrier
        guard let descriptor = handOver() else { return false }
        state = .closed
        worker.continueAsHTTP2(self, descriptor, carrier: carrier)
        return true
    }

    private func beginsWithPreface(_ input: borrowing Buffer) -> Bool {
        lowercasedEquals(input.readable.extracting(first: 16), "pri * http/2.0\r\n")
    }

    /// Whether the connection may take another request behind the one that begins.
    var mayTakeMore: Bool { servedCount + 1 < listener.requestLimit }

    // MARK: After an exchange

    /// The response has gone to the kernel whole.
    func exchangeEnded(keepsAlive: Bool) {
        giveBackExchange()
        if hasStream {
            shutdownWrite()
            return end()
        }
        servedCount += 1
        guard keepsAlive else { return callerIsDone && input.isEmpty && !mayRead ? end() : closeGracefully() }
        state = .readingHead
        setDeadline(milliseconds: worker.keepAliveMilliseconds(listener))
        output.releaseIfEmpty()
        // Called from this connection's own event, the loop in serve() goes on; from an upstream's, start it.
        if !input.isEmpty || mayRead { serve() } else { input.release() }
    }

    /// The response cannot be completed: the peer must see that it is cut (RFC 9112 §8).
    func exchangeAborted() {
        giveBackExchange()
        leave(isCut: true)
    }

    private func giveBackExchange() {
        if let ended = exchange.take() { worker.recycle(ended) }
    }

    /// Responses say it, one by one.
    func beginDrain() {}

    /// A deadline of its own runs.
    func sweep() {}
    func lookBehind() {}

    /// The worker stops now.
    func abandon() {
        if let exchange { exchange.abandon() } else { end() }
    }

    /// Closes now, between two requests or after the last.
    private func end() {
        leave(isCut: false)
    }

    private func leave(isCut: Bool) {
        guard isOpen else { return }
        state = .closed
        exchange = nil
        guard let parent = lentParent else {
            if isCut { reset() } else { close() }
            input.release()
            output.release()
            return worker.downstreamClosed(self)
        }
        rest(isCut: isCut)
        lentStream = nil
        input.release()
        output.release()
        parent.use { $0.streamClosed(self) }
    }

    /// Sends our end of stream, then waits briefly for the peer's.
    private func closeGracefully() {
        retainedCount = 0
        guard !peerHasEnded || mayRead || !input.isEmpty else { return end() }
        input.release()
        state = .lingering
        shutdownWrite()
        setDeadline(milliseconds: Self.lingerMilliseconds)
        if mayRead { linger() }
    }

    private func linger() {
        while mayRead {
            input.release()
            switch receive(into: &input) {
            case .bytes(let count):
                lingeredCount += count
                guard lingeredCount < Self.lingerByteLimit else { return end() }
            case .wouldBlock: break
            case .endOfStream, .failed, .full: return end()
            }
        }
        input.release()
    }
}

extension Configuration.CallerCertificateField {
    /// Whether the field goes on as it came from a trusted caller.
    fileprivate func keeps(hasCertificate: Bool) -> Bool {
        switch self {
        case .sanitize, .appendForward, .sanitizeSet: false
        case .forwardOnly: hasCertificate
        case .alwaysForwardOnly: true
        }
    }
}
