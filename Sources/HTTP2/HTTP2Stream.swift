// SPDX-License-Identifier: Apache-2.0
public import EventLoop
import Glibc
public import HTTP1

/// One request and its response on an HTTP/2 connection, as its socket sees it: HTTP/1.1 text without chunks.
///
/// Receiving, it gives a head as text, then the bytes of the body, then an end or a failure; sending, it takes the same.
/// Nothing is framed before ``HTTP2Session/write(into:)``. A stream belongs to one socket until ``close(isCut:)`` and
/// is used again for another one afterwards.
@safe
public final class HTTP2Stream: Carrier {
    /// Bytes of a body that always find room to wait in, whatever the peer's windows allow.
    static let least = 16_384
    /// Bytes of a body that go with the head, if they are there when the head is read.
    private static let littleBody = 4096

    /// Not while the stream waits to be used again, nor when the session is gone.
    var hasSession: Bool { unsafe owner != nil }
    /// The session holds its streams, and clears this before it goes: nobody has to count a reference for a call.
    private var owner: Unmanaged<HTTP2Session>?
    /// 0 until the request is submitted.
    public internal(set) var id: Int32 = 0

    // MARK: Receiving

    var head: Buffer
    /// Bytes at the end of ``head`` that are of the body: a small one that came at once needs no block of its own.
    private var bodyInHead = 0
    /// Of the head that was received last, as long as that begins what ``receive(into:)`` has given.
    public internal(set) var lines = HeadLines()
    var body: Buffer
    var trailers: Buffer
    /// The peer's END_STREAM has come.
    var endReceived = false
    private var endTold = false
    /// Body bytes taken, for which the peer has no credit yet.
    private var used = 0

    // MARK: Sending

    /// A head, until it is submitted, and body bytes.
    var pending: Buffer
    /// Bytes of the head that begins ``pending``.
    var headCount = 0
    /// Of that head, if it came with them.
    var sentLines = SentLines()
    private var headQueued = false
    var headSubmitted = false
    /// The frame of the head has been written.
    var headSent = false
    var sentTrailers: Buffer
    var endQueued = false
    var endSent = false
    /// libnghttp2 was told that there is nothing to send now.
    var isDeferred = false
    var awaitsRoom = false
    /// Sweeps since the last DATA frame.
    var idleSweeps = 0

    // MARK: State

    /// libnghttp2 knows it no longer.
    var isClosed = false
    /// The socket is gone.
    private(set) var isDetached = false
    /// The `errno` to be told; 0 while there is no failure.
    private(set) var failure: CInt = 0
    var isInNews = false
    var isInDue = false
    var news: Readiness = []
    /// A reset of it has been charged to the peer.
    var isCharged = false

    /// Server: its head has arrived, and this is the first news of it.
    public internal(set) var isNew = false
    var wasAnnounced = false
    /// The owner has been told of it.
    var isTold = false
    var isUntold: Bool { wasAnnounced && !isTold }

    /// END_STREAM came with the final head: there is no body and there are no trailers.
    public internal(set) var endedWithHead = false
    /// What the news is, for ``Socket/carrierReady(_:)``.
    public internal(set) var readiness: Readiness = []
    /// The peer's RST_STREAM.
    public internal(set) var resetCode: HTTP2ErrorCode?
    /// The peer has not looked at the request: REFUSED_STREAM, above the last id of its GOAWAY, or never sent.
    public internal(set) var isUnprocessed = false
    /// Server: the status the request is to be answered with, because its head is not here; 0 otherwise.
    public internal(set) var refusal: UInt16 = 0
    /// What the peer is told when the message is cut.
    public var cutCode = HTTP2ErrorCode.internalError

    init(buffers: BufferPool) {
        head = Buffer(pool: buffers)
        body = Buffer(pool: buffers)
        trailers = Buffer(pool: buffers)
        pending = Buffer(pool: buffers)
        sentTrailers = Buffer(pool: buffers)
    }

    // MARK: Carrier

    public override func receive(into buffer: inout Buffer) -> ReadOutcome {
        giveCredit()
        if failure != 0 { return .failed(errno: failure) }
        if !head.isEmpty {
            if !buffer.isEmpty { lines.removeAll() }
            var count = Self.move(&head, into: &buffer)
            let left = min(bodyInHead, head.count)
            used += bodyInHead - left
            bodyInHead = left
            // A small body rides along.
            let fits = head.isEmpty && body.count <= min(Self.littleBody, buffer.freeCount)
            if fits, !body.isEmpty { count += takeBody(&buffer) }
            return count > 0 ? .bytes(count) : .full
        }
        if !body.isEmpty {
            let count = takeBody(&buffer)
            return count > 0 ? .bytes(count) : .full
        }
        guard endReceived else { return .wouldBlock }
        endTold = true
        return .endOfStream
    }

    public override var hasNews: Bool {
        if failure != 0 || !head.isEmpty || !body.isEmpty { return true }
        if endReceived { return !endTold }
        // So that the peer's window is opened again once these bytes have been used.
        return used >= creditMark
    }

    public override func send(_ bytes: Span<UInt8>) -> WriteOutcome {
        guard hasSession, failure == 0, !isClosed, !endQueued else {
            return .failed(errno: failure == 0 ? EPIPE : failure)
        }
        return withSession(otherwise: .failed(errno: EPIPE)) { session in
            if headQueued { return queueBody(bytes, session) }
            return unsafe bytes.withUnsafeBufferPointer { unsafe queueHead($0, session) }
        }
    }

    /// Sends a head whose lines are known: nobody has to look for them.
    ///
    /// - Parameter write: appends the text, as ``send(_:)`` takes it, and notes its lines; `false` if it does not fit.
    public func sendHead(_ write: (inout OutputSpan<UInt8>, inout SentLines) -> Bool) -> HeadOutcome {
        guard hasSession, failure == 0, !isClosed, !endQueued, !headQueued, pending.isEmpty else { return .failed }
        sentLines.removeAll()
        guard let fits = pending.append({ write(&$0, &sentLines) }) else { return .noMemory }
        guard fits else { return .tooLarge }
        headCount = pending.count
        sentLines.finish(headCount: headCount)
        headQueued = true
        withSession { $0.isDue(self) }
        return .taken
    }

    /// Whether the head that was received last came with its lines, and has not been read.
    public var hasLines: Bool { lines.headCount > 0 }

    /// The head of ``lines`` has been read.
    public func forgetLines() { lines.removeAll() }

    public override func awaitWritable() {
        awaitsRoom = true
        guard failure != 0 || isClosed || hasRoom else { return }
        note(.writable)
        withSession { $0.touch() }  // so that the owner asks for news
    }

    /// Field lines, each `name: value CRLF`, that go behind the body.
    public override func sendTrailers(_ lines: Span<UInt8>) {
        guard hasSession, !endQueued, !lines.isEmpty else { return }
        if sentTrailers.append(copying: lines) < lines.count { withSession { $0.reset(self, .internalError) } }
    }

    /// Whether the message has come to its end and nothing of it waits here: no bytes, and no field lines behind them.
    public var isTakenWhole: Bool {
        endReceived && failure == 0 && head.isEmpty && body.isEmpty && trailers.isEmpty
    }

    /// Whether field lines came behind the body.
    public var hasTrailers: Bool { !trailers.isEmpty }

    /// Lends the field lines that came behind the body.
    public override func readTrailers(_ read: (Span<UInt8>) -> Void) { lend(trailers, to: read) }

    public override func shutdownWrite() {
        guard hasSession, !endQueued else { return }
        endQueued = true
        guard headQueued else { return }
        withSession { if isWholeHead { $0.submitNow(self) } else { $0.isDue(self) } }
    }

    public override func takeError() -> CInt { failure }

    public override func close(isCut: Bool) {
        guard hasSession, !isDetached else { return }
        isDetached = true
        head.release()
        bodyInHead = 0
        body.release()
        trailers.release()
        withSession { $0.socketClosed(self, isCut: isCut) }
    }

    /// Ends the stream in both directions.
    public func reset(_ code: HTTP2ErrorCode) { withSession { $0.reset(self, code) } }

    @inline(__always)
    private func withSession<Result>(otherwise: Result, _ body: (HTTP2Session) -> Result) -> Result {
        guard let owner = unsafe owner else { return otherwise }
        return unsafe owner._withUnsafeGuaranteedRef { body($0) }
    }

    @inline(__always)
    private func withSession(_ body: (HTTP2Session) -> Void) {
        if let owner = unsafe owner { unsafe owner._withUnsafeGuaranteedRef { body($0) } }
    }

    /// Tells the socket what ``readiness`` says.
    public func tellSocket() { tellSocket(readiness) }

    // MARK: What the session does with it

    /// It is used for a stream from now on.
    func begin(_ session: HTTP2Session, id: Int32) {
        unsafe owner = Unmanaged.passUnretained(session)
        self.id = id
    }

    /// The session is gone, without ``HTTP2Session/connectionLost()``.
    func orphan() { unsafe owner = nil }

    /// Body bytes have come; `false` if there is no room for them.
    func take(body bytes: Span<UInt8>) -> Bool {
        if !head.isEmpty, body.isEmpty, bodyInHead + bytes.count <= Self.littleBody, head.freeCount >= bytes.count {
            bodyInHead += bytes.count
            return head.append(copying: bytes) == bytes.count
        }
        if body.freeCount < bytes.count { body.compact() }
        return body.append(copying: bytes) == bytes.count
    }

    /// It waits to be used again.
    func end() {
        release()
        lines.removeAll()
        sentLines.removeAll()
        unsafe owner = nil
        (id, headCount, used, idleSweeps, failure, refusal) = (0, 0, 0, 0, 0, 0)
        (endReceived, endTold, endedWithHead, wasAnnounced, isTold) = (false, false, false, false, false)
        (headQueued, headSubmitted, headSent, endQueued, endSent) = (false, false, false, false, false)
        (isDeferred, awaitsRoom, isClosed, isDetached, isCharged) = (false, false, false, false, false)
        (resetCode, isUnprocessed, cutCode) = (nil, false, .internalError)
        (news, readiness, isNew) = ([], [], false)
    }

    /// Nothing more comes or goes; what waits is dropped.
    func fail(_ code: CInt) {
        guard failure == 0 else { return }
        failure = code
        release()
        note([.readable, .writable])
    }

    func note(_ what: Readiness) {
        news.formUnion(what)
        if !isInNews { withSession { $0.hasNews(self) } }
    }

    /// Drops what cannot be sent any more.
    func dropPending() {
        pending.release()
        sentTrailers.release()
        headCount = 0
    }

    /// What was sent made room.
    func noteRoom() {
        if awaitsRoom, hasRoom {
            awaitsRoom = false
            note(.writable)
        }
    }

    /// A head and its end: nothing more can come that would change its frame.
    private var isWholeHead: Bool { !headSubmitted && pending.count == headCount && sentTrailers.isEmpty }

    private var hasRoom: Bool { pending.count <= Self.least / 2 }

    private func release() {
        head.release()
        bodyInHead = 0
        body.release()
        trailers.release()
        dropPending()
    }

    // MARK: Receiving

    /// Half of what may be used before libnghttp2 opens the window again; the peer always keeps a quarter of it.
    private var creditMark: Int { withSession(otherwise: .max) { $0.limits.streamWindow } / 4 }

    private func giveCredit() {
        guard used > 0 else { return }
        if !endReceived { withSession { $0.giveCredit(used, on: self) } }
        used = 0
    }

    private func takeBody(_ buffer: inout Buffer) -> Int {
        let count = Self.move(&body, into: &buffer)
        used += count
        return count
    }

    /// Without copying, if the target has nothing yet.
    private static func move(_ source: inout Buffer, into target: inout Buffer) -> Int {
        let count = source.count
        if target.isEmpty {
            swap(&source, &target)
            source.release()
            return count
        }
        if target.freeCount < count { target.compact() }
        let moved = target.append(copying: source.readable)
        source.consume(moved)
        source.releaseIfEmpty()
        return moved
    }

    // MARK: Sending

    private func queueHead(_ bytes: UnsafeBufferPointer<UInt8>, _ session: HTTP2Session) -> WriteOutcome {
        guard let count = unsafe FieldLines.headEnd(of: bytes) else { return .failed(errno: EINVAL) }
        let head = unsafe UnsafeBufferPointer(rebasing: bytes.prefix(count))
        let taken = unsafe pending.append(copying: Span(_unsafeElements: head))
        guard taken == count else {
            pending.release()
            return .failed(errno: ENOBUFS)
        }
        headCount = count
        // 1xx: the final head is still to come.
        let isInterim = unsafe head.count > 12 && head[9] == UInt8(ascii: "1")  // bounded: 13 at least
        if isInterim, session.role == .server {
            return session.submitInterim(self) ? .sent(count) : .failed(errno: EINVAL)
        }
        headQueued = true
        session.isDue(self)
        let rest = unsafe UnsafeBufferPointer(rebasing: bytes.dropFirst(count))
        if !rest.isEmpty, case .sent(let more) = unsafe queueBody(Span(_unsafeElements: rest), session) {
            return .sent(count + more)
        }
        return .sent(count)
    }

    private func queueBody(_ bytes: Span<UInt8>, _ session: HTTP2Session) -> WriteOutcome {
        let held = pending.count - headCount
        var room = Self.least - held
        if bytes.count > room { room = max(room, session.allowance(self) - held) }
        guard room > 0 else { return .wouldBlock }
        if pending.freeCount < bytes.count { pending.compact() }
        let taken = pending.append(copying: bytes.extracting(first: min(room, bytes.count)))
        guard taken > 0 || bytes.isEmpty else { return .wouldBlock }
        session.isDue(self)
        return .sent(taken)
    }
}

/// What became of a head that was given to a stream.
public enum HeadOutcome: BitwiseCopyable, Sendable {
    case taken
    case tooLarge
    case noMemory
    case failed
}
