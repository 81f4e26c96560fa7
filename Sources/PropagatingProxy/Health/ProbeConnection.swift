// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import TLS

/// How one probe ended.
enum ProbeOutcome: Equatable {
    case passed
    /// - Parameter reason: half a line for the log.
    case failed(reason: String)
}

/// One probe of one endpoint: connects, with the handshake of TLS where there is one, and, for HTTP, asks and reads the head of the response.
final class ProbeConnection: Socket {
    /// Bytes that are read at most; the head has to fit.
    private static let byteLimit = 65_536
    /// For the rest of a response whose head has been read, so that our close does not reset it.
    private static let farewellMilliseconds = 1000

    private let check: Configuration.HealthCheck
    private var isConnecting: Bool
    private let tls: TLSLink?
    /// The connect has ended, the handshake of TLS has not.
    private var isShaking = false
    private var output: Buffer
    private var input: Buffer
    private var fields = FieldTable()
    private var seenCount = 0
    private var readCount = 0
    private var concluded: ((ProbeOutcome) -> Void)?
    private let closed: () -> Void

    /// - Parameters:
    ///   - request: empty for a check that only connects.
    ///   - concluded: called at most once, and not before this returns.
    ///   - closed: called once, when the descriptor is free again.
    init(
        _ descriptor: consuming Descriptor, isConnecting: Bool, tls: TLSLink?, _ check: Configuration.HealthCheck,
        request: [UInt8],
        buffers: BufferPool, on loop: EventLoop, concluded: @escaping (ProbeOutcome) -> Void,
        closed: @escaping () -> Void
    ) {
        self.check = check
        self.isConnecting = isConnecting || tls != nil
        self.tls = tls
        self.concluded = concluded
        self.closed = closed
        input = Buffer(pool: buffers)
        output = Buffer(pool: buffers)
        super.init(descriptor, carrier: tls?.session, on: loop)
        if check.kind == .http { _ = output.append(copying: request.span) }
        if self.isConnecting { awaitWritable() } else { resumeSoon() }
    }

    override func ioReady(_ readiness: Readiness) {
        if isConnecting {
            guard connects() else { return }
            isConnecting = false
        }
        guard check.kind == .http else { return conclude(.passed) }
        write()
        while isOpen, mayRead { read() }
    }

    /// - Returns: whether the connection stands now.
    private func connects() -> Bool {
        if !isShaking {
            let error = takeError()
            guard error == 0 else {
                conclude(.failed(reason: errorText(error)))
                return false
            }
            isShaking = true
        }
        switch tls?.handshake() {
        case .done, nil: return true
        case .waiting: return false
        case .failed(let failure):
            conclude(.failed(reason: "TLS: \(failure.reason)"))
            return false
        }
    }

    override func deadlinePassed() { end() }

    /// Ends it without an outcome.
    func abandon() {
        concluded = nil
        end()
    }

    private func write() {
        guard !output.isEmpty else { return }
        switch flush(&output) {
        case .sent: if !output.isEmpty { awaitWritable() }
        case .wouldBlock: awaitWritable()
        case .failed(let error): conclude(.failed(reason: errorText(error)))
        }
    }

    private func read() {
        switch receive(into: &input) {
        case .bytes(let count): take(count)
        case .wouldBlock: return
        case .endOfStream: conclude(.failed(reason: "closed without a response"))
        case .full: conclude(.failed(reason: "the response's head is too large"))
        case .failed(let error): conclude(.failed(reason: failureText(error)))
        }
    }

    private func failureText(_ errno: CInt) -> String {
        guard let failure = tls?.session.failure else { return errorText(errno) }
        return "TLS: \(failure.reason)"
    }

    private func take(_ count: Int) {
        readCount += count
        guard readCount <= Self.byteLimit else { return conclude(.failed(reason: "the response is too large")) }
        guard concluded != nil else { return input.release() }  // the body, which nobody needs
        do throws(SyntaxError) {
            if let head = try finalHead() { conclude(head) }
        } catch {
            conclude(.failed(reason: "malformed response"))
        }
    }

    /// The head of the final response, once it is whole; interim ones are skipped.
    private func finalHead() throws(SyntaxError) -> ResponseHead? {
        while true {
            let progress = try parse(input)
            guard case .complete(let head) = progress else {
                seenCount = input.count
                return nil
            }
            seenCount = 0
            input.consume(Int(head.length))
            if head.status >= 200 { return head }
        }
    }

    private func parse(_ input: borrowing Buffer) throws(SyntaxError) -> HeadProgress<ResponseHead> {
        try parseResponseHead(
            input.readable, alreadySeen: seenCount, requestMethod: .get, limits: HeadLimits(), fields: &fields)
    }

    private func conclude(_ head: ResponseHead) {
        let outcome = check.accepts(head.status) ? ProbeOutcome.passed : .failed(reason: "status \(head.status)")
        // A peer that keeps the connection open would hold one of the few probes.
        guard !isWhole(head) else { return conclude(outcome) }
        let tell = take()
        input.release()
        output.release()
        setDeadline(milliseconds: Self.farewellMilliseconds)
        tell?(outcome)
    }

    /// Whether the body has been read too.
    private func isWhole(_ head: ResponseHead) -> Bool {
        switch head.framing {
        case .none: true
        case .length(let count): UInt64(input.count) >= count
        case .chunked, .untilClose: false
        }
    }

    private func conclude(_ outcome: ProbeOutcome) {
        let tell = take()
        end()
        tell?(outcome)
    }

    private func take() -> ((ProbeOutcome) -> Void)? {
        defer { concluded = nil }
        return concluded
    }

    private func end() {
        guard isOpen else { return }
        tls?.keepTicket()
        close()
        input.release()
        output.release()
        closed()
    }
}
