// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1

/// One connection to a collector: sends one post after another and reads each response.
final class CollectorConnection: Socket {
    /// Response bytes read at most; what a collector says beyond is of no use.
    private static let responseLimit = 4 << 20
    /// Response bytes kept, for OTLP's partial success.
    private static let keptLimit = 64 << 10

    /// Called once for each post; the connection may be used again unless it is closed then.
    private let ended: (CollectorConnection, PostOutcome) -> Void
    private var isConnecting: Bool
    private var output = ByteWriter(capacity: 64 * 1024)
    private var sentCount = 0
    private var input: Buffer
    private var fields = FieldTable()
    private var seenCount = 0
    private var head: ResponseHead?
    private var retryAfterMilliseconds: Int?
    private var body: [UInt8] = []
    private var bodyCount = 0
    private var remaining: UInt64 = 0
    private var chunks = ChunkedDecoder()
    private(set) var isBusy = false
    /// Posts answered on this connection.
    private(set) var servedCount = 0

    init(
        _ descriptor: consuming Descriptor, isConnecting: Bool, pool: BufferPool, on loop: EventLoop,
        ended: @escaping (CollectorConnection, PostOutcome) -> Void
    ) {
        self.isConnecting = isConnecting
        self.ended = ended
        input = Buffer(pool: pool)
        super.init(descriptor, on: loop)
        if isConnecting { awaitWritable() }
    }

    /// Begins a post; one at a time.
    func post(timeoutMilliseconds: Int, _ write: (inout ByteWriter) -> Void) {
        output.truncate(to: 0)
        write(&output)
        sentCount = 0
        seenCount = 0
        head = nil
        retryAfterMilliseconds = nil
        body.removeAll(keepingCapacity: true)
        bodyCount = 0
        chunks = ChunkedDecoder()
        isBusy = true
        setDeadline(milliseconds: timeoutMilliseconds)
        if !isConnecting { send() }
    }

    override func ioReady(_ readiness: Readiness) {
        if isConnecting {
            isConnecting = false
            let error = takeError()
            guard error == 0 else { return fail(errorText(error)) }
            if isBusy { send() }
            return
        }
        guard isBusy else { return close() }  // an idle collector closed, or spoke out of turn
        if readiness.contains(.writable), sentCount < output.count { send() }
        if isBusy, mayRead { receive() }
    }

    override func deadlinePassed() { fail("timeout") }

    private func send() {
        while sentCount < output.count {
            switch send(output.span.extracting(sentCount..<output.count)) {
            case .sent(let count): sentCount += count
            case .wouldBlock: return awaitWritable()
            // A response may explain it, such as a 413 before a reset.
            case .failed:
                assumeReadable()
                return receive()
            }
        }
    }

    // MARK: Response

    private func receive() {
        while isBusy, isOpen, mayRead {
            switch receive(into: &input) {
            case .bytes: read()
            case .wouldBlock: return
            case .full: fail("response head too large")
            case .endOfStream: sourceEnded()
            case .failed(let error): fail(errorText(error))
            }
        }
    }

    private func read() {
        do throws(SyntaxError) {
            if head == nil { try readHead() }
            if head != nil { try readBody() }
        } catch {
            fail("malformed response: \(error.reason)")
        }
    }

    private func readHead() throws(SyntaxError) {
        while head == nil {
            let progress = try parseHead(input)
            guard case .complete(let response) = progress else {
                seenCount = input.count
                return
            }
            seenCount = 0
            noteRetryAfter(input)
            input.consume(Int(response.length))
            if response.status < 200 { continue }
            head = response
            if case .length(let count) = response.framing { remaining = count }
        }
    }

    private func parseHead(_ input: borrowing Buffer) throws(SyntaxError) -> HeadProgress<ResponseHead> {
        try parseResponseHead(
            input.readable, alreadySeen: seenCount, requestMethod: .post, limits: HeadLimits(), fields: &fields)
    }

    /// Seconds; the date form is taken as absent, our own back-off applies then.
    private func noteRetryAfter(_ input: borrowing Buffer) {
        let bytes = input.readable
        for index in 0..<fields.count where fields[index].kind == .other {
            let field = fields[index]
            guard lowercasedEquals(bytes.extracting(field.name.range), "retry-after") else { continue }
            var seconds = 0
            let value = bytes.extracting(field.value.range)
            guard (1...6).contains(value.count) else { return }
            for offset in 0..<value.count {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(value[offset]) else { return }
                seconds = seconds * 10 + Int(value[offset] - UInt8(ascii: "0"))
            }
            retryAfterMilliseconds = seconds * 1000
        }
    }

    private func readBody() throws(SyntaxError) {
        guard let head else { return }
        switch head.framing {
        case .none: finish()
        case .length:
            let count = Int(clamping: min(remaining, UInt64(input.count)))
            keep(input, 0..<count)
            input.consume(count)
            remaining -= UInt64(count)
            if remaining == 0 { finish() }
        case .chunked: try readChunks()
        case .untilClose:
            keep(input, 0..<input.count)
            input.consume(input.count)
        }
        if isBusy, bodyCount > Self.responseLimit { fail("response too large") }
    }

    private func readChunks() throws(SyntaxError) {
        var offset = 0
        while isBusy {
            switch try nextChunk(input, &offset) {
            case .needsMore:
                input.consume(offset)
                return
            case .data(let range): keep(input, range.range)
            case .trailers: break
            case .end:
                input.consume(offset)
                finish()
            }
        }
    }

    private func nextChunk(_ input: borrowing Buffer, _ offset: inout Int) throws(SyntaxError) -> ChunkedDecoder.Step {
        try chunks.next(input.readable, offset: &offset)
    }

    private func keep(_ input: borrowing Buffer, _ range: Range<Int>) {
        bodyCount += range.count
        let bytes = input.readable
        for index in range where body.count < Self.keptLimit { body.append(bytes[index]) }
    }

    private func sourceEnded() {
        if let head, head.framing == .untilClose { return finish() }
        fail("connection closed")
    }

    private func finish() {
        guard let head else { return }
        servedCount += 1
        let kept = body
        let outcome = PostOutcome(
            status: head.status, rejectedSpans: PartialSuccess.rejectedSpans(kept.span),
            retryAfterMilliseconds: retryAfterMilliseconds)
        let isReusable = head.keepAlive && input.isEmpty && sentCount == output.count
        end(outcome, keepsOpen: isReusable)
    }

    private func fail(_ reason: String) { end(.retry(reason: reason, afterMilliseconds: nil), keepsOpen: false) }

    private func end(_ outcome: PostOutcome, keepsOpen: Bool) {
        setDeadline(milliseconds: nil)
        input.release()
        if !keepsOpen { close() }
        guard isBusy else { return }
        isBusy = false
        ended(self, outcome)
    }
}
