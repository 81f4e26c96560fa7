// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2

/// The frames of one HTTP/2 connection, between a socket and a session. What a stream has to say reaches the socket
/// it carries; what its streams have to send leaves once a turn of the loop.
class HTTP2Connection: Socket {
    /// Reads in one turn, of up to 64 KiB each, before other sockets get theirs.
    private static let readLimit = 4
    /// Sends in one turn, of up to 64 KiB each.
    private static let sendLimit = 8
    /// Blocks that streams give back and soon take again.
    private static let sparesWanted = 128

    let session: HTTP2Session
    private let metrics: WorkerMetrics?
    private let buffers: BufferPool
    private var toldCounts = HTTP2LimitCounts(repeating: 0)
    private var toldTotal = 0
    private var input: Buffer
    private var output: Buffer
    private var flushIsDue = false
    /// The kernel takes no more; it will tell when it does.
    private(set) var isBlocked: Bool
    /// The session is over: what is written goes out, then the connection closes.
    private var isEnding = false
    /// Bytes have come since ``lookBehind()``. A reset that came in one event with bytes is not told of by the loop
    /// (libevent makes EPOLLERR a readable), and those bytes look like all there is.
    private var mayHideReset = false
    /// The peer has said something.
    final private(set) var hasHeard = false

    /// - Parameter carrier: between the frames and the kernel; `nil` in the clear.
    init(
        _ descriptor: consuming Descriptor, _ session: HTTP2Session, carrier: Carrier? = nil,
        isConnecting: Bool = false,
        supplies: SessionSupplies, on loop: EventLoop
    ) {
        self.session = session
        metrics = supplies.metrics
        buffers = supplies.buffers
        isBlocked = isConnecting
        input = Buffer(pool: supplies.buffers)
        output = Buffer(pool: supplies.buffers)
        super.init(descriptor, carrier: carrier, on: loop)
        supplies.buffers.keepSpares(Self.sparesWanted)
        session.onDirty = { [unowned self] in flushSoon() }
    }

    // MARK: For subclasses

    /// A peer has opened a stream.
    func streamOpened(_ stream: HTTP2Stream) {}
    /// Whether received bytes may be taken now.
    var mayTakeMore: Bool { !session.shouldPauseReading }
    /// Everything that could be sent has been: the time to look at deadlines.
    func settle() {}
    /// Called once, when it has closed; every stream has been told.
    func ended() {}

    // MARK: Receiving

    override func ioReady(_ readiness: Readiness) {
        if readiness.contains(.writable) { isBlocked = false }
        if mayRead { read() }
        flushIfNeeded()
    }

    func read() {
        for _ in 0..<Self.readLimit {
            guard isOpen, !isEnding, mayRead, mayTakeMore else { return }
            switch receive(into: &input) {
            case .bytes:
                mayHideReset = true
                hasHeard = true
                takeInput()
            case .wouldBlock: return
            case .full, .endOfStream, .failed: return lose()
            }
        }
        resumeSoon()
    }

    /// Once a second: whether a reset lies behind the bytes that came last.
    final func lookBehind() {
        guard mayHideReset, isOpen else { return }
        mayHideReset = false
        assumeReadable()
        read()
        flushIfNeeded()
    }

    /// Bytes that were received before this object was made.
    func take(_ received: inout Buffer) {
        swap(&input, &received)
        takeInput()
        flushIfNeeded()
    }

    private func takeInput() {
        let goesOn = feed(input)
        input.release()
        if !goesOn {
            isEnding = true
            flushSoon()
        }
        deliver()
    }

    private func feed(_ input: borrowing Buffer) -> Bool {
        session.receive(input.readable, nowMicroseconds: Clock.monotonicMicroseconds)
    }

    /// Tells the sockets of streams what is new.
    func deliver() {
        session.tellNews { stream in
            if stream.isNew { streamOpened(stream) } else { stream.tellSocket() }
        }
    }

    // MARK: Sending

    /// The connection stands.
    func sendingMayBegin() { isBlocked = false }

    private func flushIfNeeded() {
        if isOpen, !output.isEmpty || session.wantsWrite { flushSoon() }
    }

    func flushSoon() {
        guard !flushIsDue, !isBlocked else { return }
        flushIsDue = true
        atEndOfTurn()
    }

    override func turnEnded() {
        flushIsDue = false
        guard isOpen else { return }
        for _ in 0..<Self.sendLimit {
            session.write(into: &output)
            guard !output.isEmpty else {
                deliver()
                break
            }
            switch flush(&output) {
            case .sent where output.isEmpty: break
            case .sent, .wouldBlock:
                isBlocked = true
                awaitWritable()
            case .failed: return lose()
            }
            deliver()
            if isBlocked { break }
        }
        guard isOpen else { return }
        if output.isEmpty {
            output.release()
            if isEnding || session.isFinished { return lose() }
            if session.wantsWrite { resumeSoon() }
        }
        if session.limitsReached != toldTotal { tellOfLimits() }
        settle()
        // What held the reading back may have left.
        if mayRead, mayTakeMore { resumeSoon() }
    }

    private func tellOfLimits() {
        toldTotal = session.limitsReached
        let counts = session.counts
        for limit in HTTP2Limit.allCases {
            let place = limit.rawValue
            let more = counts[place] - toldCounts[place]  // bounded: one element for each case
            if more > 0 { metrics?.http2LimitReached(limit, more) }
        }
        toldCounts = counts
    }

    // MARK: The end

    /// Says why, and closes when that has gone out.
    func end(_ code: HTTP2ErrorCode) {
        session.goAway(code)
        isEnding = true
        if isBlocked { lose() } else { flushSoon() }
    }

    /// Nothing more goes in or out: every stream fails.
    func lose() {
        guard isOpen else { return }
        close()
        dissolve()
    }

    /// Another object takes the connection over; this one is of no use any more.
    func handOverConnection() -> Descriptor? {
        guard let descriptor = handOver() else { return nil }
        dissolve()
        return descriptor
    }

    private func dissolve() {
        if session.limitsReached != toldTotal { tellOfLimits() }
        session.connectionLost()
        deliver()
        input.release()
        output.release()
        buffers.keepSpares(-Self.sparesWanted)
        ended()
    }
}
