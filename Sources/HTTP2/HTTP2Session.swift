// SPDX-License-Identifier: Apache-2.0
import CNghttp2
public import EventLoop
import Glibc

/// The framing of one HTTP/2 connection (RFC 9113): bytes in, bytes out, streams between. It has no socket and no clock.
///
/// Nothing calls back into the owner: libnghttp2's callbacks note things on streams, and ``takeNews()`` tells of them.
@safe
public final class HTTP2Session {
    public enum Role: Sendable {
        /// The peer opens streams.
        case server
        /// We do.
        case client
    }

    /// Of the libnghttp2 found at run time.
    public static var libraryVersion: String {
        guard let found = unsafe nghttp2_version(0) else { return "unknown" }
        return unsafe String(cString: found.pointee.version_str)
    }

    let role: Role
    let limits: HTTP2Limits
    private let buffers: BufferPool
    /// What libnghttp2's own memory is taken from.
    private let memory: SessionMemory?
    /// `nghttp2_session *`.
    let handle: OpaquePointer

    /// Called when a stream or a method made something to write, outside of ``receive(_:nowMicroseconds:)`` and
    /// ``write(into:)``; once until the next write.
    public var onDirty: () -> Void = {}
    private var isDirty = false
    /// Inside a call of libnghttp2 or of the owner that looks at ``wantsWrite`` itself.
    private var isBusy = false

    // MARK: Streams

    /// All there ever were: in use, and waiting to be used again.
    private var slots: [HTTP2Stream] = []
    // The session holds its streams as long as it lives, so these lists count no references.
    private var spare: [Lent<HTTP2Stream>] = []
    private var news: [Unmanaged<HTTP2Stream>] = unsafe []
    private var newsTaken = 0
    private var due: [Unmanaged<HTTP2Stream>] = unsafe []
    /// Streams that libnghttp2 or a socket knows.
    public private(set) var streamCount = 0
    /// Streams opened by us that are not closed.
    private var openedCount = 0

    // MARK: Receiving

    var watch: FrameWatch
    var incoming: HeadText
    private var nowMicroseconds: UInt64 = 0
    /// Acknowledgements queued and not written.
    private var unreadAcknowledgements = 0
    public internal(set) var hasPeerSettings = false
    public internal(set) var isSettingsAcknowledged = false
    /// The peer's GOAWAY.
    public internal(set) var goAwayReceived: HTTP2ErrorCode?
    /// Why this side ended the session by itself.
    public private(set) var exceeded: HTTP2Limit?
    /// How often each limit was reached, by ``HTTP2Limit/rawValue``: streams refused, or the connection ended.
    public private(set) var counts = HTTP2LimitCounts(repeating: 0)
    /// The sum of ``counts``.
    public private(set) var limitsReached = 0
    /// Streams refused before the peer could know our SETTINGS.
    var earlyRefusals = 0
    private var isOver = false
    private var isLost = false

    // MARK: Writing

    /// The owner's buffer, while it is written to.
    var outbox: Buffer
    /// What did not fit of a frame; libnghttp2 keeps it until it is asked for more.
    private var rest = unsafe UnsafeBufferPointer<UInt8>(start: nil, count: 0)
    var lines = FieldLines()
    private var goAwayAnnounced = false
    /// What our GOAWAY says, which may still wait to be written: later streams are not looked at.
    private(set) var lastStream = Int32.max

    /// A session that has its SETTINGS and the connection's window to write.
    ///
    /// - Parameter memory: shared by the sessions of one thread; `nil`: each asks `malloc`.
    public init(
        _ role: Role, limits: HTTP2Limits, buffers: BufferPool, memory: SessionMemory? = nil
    ) throws(HTTP2Error) {
        self.memory = memory
        self.role = role
        self.limits = limits
        self.buffers = buffers
        guard let handle = unsafe makeSession(role, limits, memory) else { throw .outOfMemory }
        unsafe self.handle = handle
        watch = FrameWatch(limits, prefaceBytes: role == .server ? 24 : 0, watchesPeerStreams: role == .server)
        incoming = HeadText(limits: limits, pool: buffers)
        outbox = Buffer(pool: buffers)
        unsafe nghttp2_session_set_user_data(handle, Unmanaged.passUnretained(self).toOpaque())
        submitSettings()
    }

    deinit {
        for stream in slots { stream.orphan() }
        incoming.forgetPseudoFields()
        unsafe nghttp2_session_del(handle)
    }

    private func submitSettings() {
        let window = (NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.streamWindow)
        let headers = (NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.fieldBytes)
        let settings =
            role == .server
            ? [(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.concurrentStreams), window, headers]
            : [(NGHTTP2_SETTINGS_ENABLE_PUSH, 0), window, headers]
        let entries = settings.map {
            nghttp2_settings_entry(settings_id: Int32($0.0.rawValue), value: UInt32(clamping: $0.1))
        }
        unsafe entries.withUnsafeBufferPointer {
            _ = unsafe nghttp2_submit_settings(handle, 0, $0.baseAddress, $0.count)
        }
        let size = Int32(clamping: limits.connectionWindow)
        unsafe nghttp2_session_set_local_window_size(handle, 0, 0, size)
    }

    // MARK: Reading

    /// Takes received bytes; a server's begin with the preface.
    ///
    /// - Returns: `false` when the session is over: what ``write(into:)`` still gives is to be sent, then the connection closed.
    public func receive(_ bytes: Span<UInt8>, nowMicroseconds: UInt64) -> Bool {
        guard !isOver else { return false }
        self.nowMicroseconds = nowMicroseconds
        isBusy = true
        defer { isBusy = false }
        switch watch.pass(bytes, nowMicroseconds: nowMicroseconds) {
        case nil: break
        case .exceeded(let limit): return end(.enhanceYourCalm, exceeding: limit)
        case .backwards: return end(.protocolError)
        }
        let taken = unsafe bytes.withUnsafeBufferPointer {
            unsafe nghttp2_session_mem_recv(handle, $0.baseAddress, $0.count)
        }
        if exceeded != nil { return end(.enhanceYourCalm) }
        if taken >= 0 { return true }
        switch nghttp2_error(Int32(truncatingIfNeeded: taken)) {
        case NGHTTP2_ERR_BAD_CLIENT_MAGIC: return end(.protocolError)
        case NGHTTP2_ERR_FLOODED: return end(.enhanceYourCalm, exceeding: .unreadAcknowledgements)
        default: return end(.internalError)
        }
    }

    /// The peer asks for acknowledgements and does not read them: no more should be read before something could be sent.
    public var shouldPauseReading: Bool { unreadAcknowledgements > limits.unreadAcknowledgementsMark }

    /// Ends the connection by a GOAWAY that is still to be written.
    private func end(_ code: HTTP2ErrorCode, exceeding limit: HTTP2Limit? = nil) -> Bool {
        if let limit { exceed(limit) }
        terminate(code)
        return false
    }

    private func terminate(_ code: HTTP2ErrorCode) {
        isOver = true
        let last = min(lastStream, unsafe nghttp2_session_get_last_proc_stream_id(handle))
        unsafe nghttp2_session_terminate_session2(handle, last, code.rawValue)
    }

    /// Counts, and ends the session when control is back in ``receive(_:nowMicroseconds:)``.
    func exceed(_ limit: HTTP2Limit) {
        guard exceeded == nil else { return }  // it ends once, whatever else the read holds
        exceeded = limit
        count(limit)
    }

    func count(_ limit: HTTP2Limit) {
        counts[limit.rawValue] += 1  // bounded: one element for each case
        limitsReached += 1
    }

    /// The peer made us reset a stream.
    func charge(_ stream: HTTP2Stream?) {
        if let stream {
            guard !stream.isCharged else { return }
            stream.isCharged = true
        }
        if role == .server, !watch.resetProvoked(nowMicroseconds: nowMicroseconds) { exceed(.resets) }
    }

    func acknowledgementQueued() { unreadAcknowledgements += 1 }
    func acknowledgementWritten() { unreadAcknowledgements -= 1 }

    // MARK: News

    /// A stream with something to say since it was last asked; `nil` when there is none. To be asked after every
    /// ``receive(_:nowMicroseconds:)``, every ``write(into:)`` and after ``connectionLost()``.
    public func takeNews() -> HTTP2Stream? { unsafe nextNews()?.takeUnretainedValue() }

    /// The same for all streams there are, one after another.
    public func tellNews(to told: (HTTP2Stream) -> Void) {
        while let stream = unsafe nextNews() { unsafe stream._withUnsafeGuaranteedRef(told) }
    }

    private func nextNews() -> Unmanaged<HTTP2Stream>? {
        while unsafe newsTaken < news.count {
            let next = unsafe news[newsTaken]  // bounded: just compared
            newsTaken += 1
            if unsafe next._withUnsafeGuaranteedRef(isWorthTelling) { return unsafe next }
        }
        unsafe news.removeAll(keepingCapacity: true)
        newsTaken = 0
        return nil
    }

    private func isWorthTelling(_ stream: HTTP2Stream) -> Bool {
        stream.isInNews = false
        guard stream.hasSession, !stream.isDetached else { return false }
        if stream.isUntold, stream.failure != 0 {
            stream.close(isCut: true)
            return false
        }
        stream.isNew = stream.isUntold
        stream.isTold = true
        stream.readiness = stream.news
        stream.news = []
        return true
    }

    func hasNews(_ stream: HTTP2Stream) {
        stream.isInNews = true
        unsafe news.append(Unmanaged.passUnretained(stream))
    }

    // MARK: Streams

    /// A stream object, used again if one waits. It lasts as long as the session.
    func makeStream(id: Int32) -> Lent<HTTP2Stream> {
        streamCount += 1
        let stream = spare.popLast() ?? addStream()
        stream.use { $0.begin(self, id: id) }
        return stream
    }

    private func addStream() -> Lent<HTTP2Stream> {
        let stream = HTTP2Stream(buffers: buffers)
        slots.append(stream)
        return Lent(stream)
    }

    /// Neither libnghttp2 nor a socket knows it any more.
    private func recycle(_ stream: HTTP2Stream) {
        streamCount -= 1
        stream.end()
        spare.append(Lent(stream))
    }

    /// One of ours by its id; looked for only when something is wrong.
    func openStream(id: Int32) -> HTTP2Stream? { slots.first { $0.id == id && $0.hasSession && !$0.isClosed } }

    /// libnghttp2 has forgotten the stream.
    func streamClosed(_ stream: HTTP2Stream, code: UInt32) {
        guard !stream.isClosed else { return }
        stream.isClosed = true
        if role == .client { openedCount -= 1 }
        if code == HTTP2ErrorCode.refusedStream.rawValue { stream.isUnprocessed = true }
        let isWhole = stream.endReceived && (stream.endSent || role == .client)
        if isWhole {
            watch.streamCompleted()
            stream.dropPending()
            if stream.awaitsRoom { stream.note(.writable) }
        } else {
            stream.fail(ECONNRESET)
        }
        // A request that nobody has been told of needs no end either.
        if stream.isDetached || stream.isUntold { recycle(stream) }
    }

    /// The stream has lost its socket.
    func socketClosed(_ stream: HTTP2Stream, isCut: Bool) {
        if stream.isClosed { return recycle(stream) }
        if stream.id == 0 {
            stream.isClosed = true
            openedCount -= 1
            return recycle(stream)
        }
        if isCut { return reset(stream, stream.cutCode) }
        if role == .client { return reset(stream, .cancel) }
        guard stream.headSubmitted || stream.headCount > 0 else { return reset(stream, stream.cutCode) }
        stream.shutdownWrite()
        if stream.endSent { reset(stream, .noError) }
    }

    /// Our END_STREAM has been framed.
    func endWritten(_ stream: HTTP2Stream) {
        stream.endSent = true
        // Whoever still sends a body that nobody reads is told so (RFC 9113 §8.1).
        if role == .server, stream.isDetached, !stream.endReceived { reset(stream, .noError) }
    }

    func reset(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) {
        stream.dropPending()
        guard !stream.isClosed, !isLost else { return }
        if stream.id == 0 {
            stream.isClosed = true
            openedCount -= 1
            stream.isUnprocessed = true
            stream.fail(ECONNRESET)
            return
        }
        unsafe nghttp2_submit_rst_stream(handle, 0, stream.id, code.rawValue)
        touch()
    }

    /// Body bytes were used: the peer may send as many more on the stream.
    func giveCredit(_ count: Int, on stream: HTTP2Stream) {
        guard !stream.isClosed, !isLost, stream.id > 0 else { return }
        unsafe nghttp2_session_consume_stream(handle, stream.id, count)
        if unsafe nghttp2_session_want_write(handle) != 0 { touch() }
    }

    /// Body bytes that the peer's windows let go now.
    func allowance(_ stream: HTTP2Stream) -> Int {
        let connection = Int(unsafe nghttp2_session_get_remote_window_size(handle))
        let own =
            stream.headSubmitted
            ? Int(unsafe nghttp2_session_get_stream_remote_window_size(handle, stream.id))
            : Int(unsafe nghttp2_session_get_remote_settings(handle, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE))
        return min(connection, own, BufferPool.blockSize)
    }

    // MARK: Opening

    /// Whether the peer takes one more stream: below its MAX_CONCURRENT_STREAMS (100 until it says), no GOAWAY, ids left.
    public var mayOpen: Bool {
        guard role == .client, !isOver, !isLost, goAwayReceived == nil else { return false }
        guard openedCount < limits.openStreams, openedCount < peerConcurrentStreams else { return false }
        return unsafe nghttp2_session_check_request_allowed(handle) != 0
    }

    /// What the peer allows to be open at once.
    public var peerConcurrentStreams: Int {
        guard hasPeerSettings else { return 100 }
        return Int(unsafe nghttp2_session_get_remote_settings(handle, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
    }

    /// A stream for one request; `nil` unless ``mayOpen``. It lasts as long as the session.
    public func open() -> Lent<HTTP2Stream>? {
        guard mayOpen else { return nil }
        openedCount += 1
        watch.streamOpened()
        return makeStream(id: 0)
    }

    /// Requests that came or went so far.
    public var openedStreamCount: Int { watch.streams }

    // MARK: Ending

    /// Says that a GOAWAY will follow, while requests on their way are still taken (RFC 9113 §6.8).
    public func announceGoAway() {
        guard !isOver, !isLost, role == .server, !goAwayAnnounced, lastStream == .max else { return }
        goAwayAnnounced = true
        unsafe nghttp2_submit_shutdown_notice(handle)
        touch()
    }

    /// No stream beyond those that came is looked at; with an error, none at all.
    public func goAway(_ code: HTTP2ErrorCode) {
        guard !isOver, !isLost else { return }
        if code == .noError {
            lastStream = min(lastStream, unsafe nghttp2_session_get_last_proc_stream_id(handle))
            unsafe nghttp2_submit_goaway(handle, 0, lastStream, code.rawValue, nil, 0)
        } else {
            terminate(code)
        }
        touch()
    }

    /// The connection is gone: every stream fails.
    public func connectionLost() {
        guard !isLost else { return }
        isLost = true
        isOver = true
        unsafe rest = UnsafeBufferPointer(start: nil, count: 0)
        for stream in slots where stream.hasSession && !stream.isClosed {
            if role == .client, !stream.headSent { stream.isUnprocessed = true }
            streamClosed(stream, code: HTTP2ErrorCode.internalError.rawValue)
        }
    }

    /// libnghttp2 wants neither to read nor to write: the connection can be closed.
    public var isFinished: Bool {
        if isLost { return true }
        return unsafe rest.isEmpty && due.isEmpty && nghttp2_session_want_read(handle) == 0
            && nghttp2_session_want_write(handle) == 0
    }

    /// Resets streams whose bytes the peer has not let go for ``HTTP2Limits/stalledSweeps`` calls of this.
    public func sweepStalledStreams() {
        guard !isOver, !isLost else { return }
        for stream in slots where stream.hasSession && !stream.isClosed {
            guard stream.headSent, !stream.pending.isEmpty else {
                stream.idleSweeps = 0
                continue
            }
            stream.idleSweeps += 1
            guard stream.idleSweeps > limits.stalledSweeps else { continue }
            count(.stalledStreams)
            reset(stream, .cancel)
            stream.fail(ETIMEDOUT)
        }
    }

    // MARK: Writing

    /// Whether ``write(into:)`` would give something now.
    public var wantsWrite: Bool {
        if isLost { return false }
        return unsafe !rest.isEmpty || !due.isEmpty || nghttp2_session_want_write(handle) != 0
    }

    /// Something is to be written.
    func touch() {
        guard !isDirty, !isBusy else { return }
        isDirty = true
        onDirty()
    }

    /// The stream has a head, body bytes or an end to submit.
    func isDue(_ stream: HTTP2Stream) {
        if !stream.isInDue {
            stream.isInDue = true
            unsafe due.append(Unmanaged.passUnretained(stream))
        }
        touch()
    }

    /// What the stream has to send is whole: libnghttp2 copies it, and the next stream can use its block.
    func submitNow(_ stream: HTTP2Stream) {
        guard !isBusy, !isLost, !isOver else { return isDue(stream) }
        submit(stream)
        touch()
    }

    /// Moves frames that are due into the buffer, as many as fit its free room.
    public func write(into out: inout Buffer) {
        guard !isLost else { return }
        isBusy = true
        swap(&out, &outbox)
        defer {
            swap(&out, &outbox)
            (isBusy, isDirty) = (false, false)
        }
        submitDue()
        repeat { writeFrames() } while endIfExceeded()
    }

    /// What came of writing may be the last straw.
    private func endIfExceeded() -> Bool {
        guard exceeded != nil, !isOver else { return false }
        _ = end(.enhanceYourCalm)
        return true
    }

    private func writeFrames() {
        while writeRest() {
            if outbox.freeCount < 1024 { outbox.compact() }
            // Less would cut bodies into small frames.
            guard outbox.freeCount >= 1024, outbox.reserve() else { return }
            var start: UnsafePointer<UInt8>?
            let count = unsafe nghttp2_session_mem_send(handle, &start)
            guard count > 0, unsafe start != nil else {
                if count < 0 { connectionLost() }
                return outbox.releaseIfEmpty()
            }
            unsafe rest = UnsafeBufferPointer(start: start, count: count)
        }
    }

    /// `false` when something is left of a frame.
    private func writeRest() -> Bool {
        if unsafe rest.isEmpty { return true }
        if unsafe outbox.freeCount < rest.count { outbox.compact() }
        let count = unsafe outbox.append(copying: Span(_unsafeElements: rest))
        unsafe rest = UnsafeBufferPointer(rebasing: rest.dropFirst(count))
        return unsafe rest.isEmpty
    }

    private func submitDue() {
        var index = 0
        while unsafe index < due.count {
            // bounded: just compared
            unsafe due[index]._withUnsafeGuaranteedRef {
                $0.isInDue = false
                if $0.hasSession, !$0.isClosed { submit($0) }
            }
            index += 1
        }
        unsafe due.removeAll(keepingCapacity: true)
    }
}
