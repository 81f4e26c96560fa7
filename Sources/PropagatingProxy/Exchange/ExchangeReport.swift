// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import Propagation
import SpanEmitter

/// What one exchange tells about itself: its SERVER span, one CLIENT span per attempt, and metrics. In `sidecar` mode there is
/// one span, `server`, which on outbound listeners is of the kind CLIENT.
///
/// One wall-clock anchor and monotonic differences per exchange, so that no child starts before
/// its parent and no duration is negative or 0.
struct ExchangeReport: BitwiseCopyable {
    private var server = SpanRecord()
    private var isRecorded = false
    private var attemptRuns = false
    private var hop = Hop.none
    private var startMicroseconds: UInt64 = 0
    private var attemptMicroseconds: UInt64 = 0
    private var epochOffset: UInt64 = 0
    private(set) var responseStatus: UInt16 = 0
    /// The context the present attempt sends upstream.
    private(set) var sentContext = TraceContext.none

    /// - Parameter at: monotonic microseconds.
    mutating func begin(
        at now: UInt64, head: RequestHead, bytes: Span<UInt8>, facts: RequestFacts, decision: TraceDecision,
        route: RouteContext?, listener: ListenerContext, peer: EndpointAddress, worker: Worker
    ) {
        start(worker, now)
        hop = decision.hop
        sentContext = hop.inbound
        isRecorded = decision.isRecorded
        server.route = route?.number ?? 0
        guard isRecorded else { return }
        describe(listener: listener, peer: peer)
        server.method = head.method
        server.httpMinorVersion = head.minorVersion
        server.upstream = route?.upstream?.number ?? 0
        if let minted = facts.mintedRequestID {
            setTexts(head, bytes, requestID: minted.span, userAgent: facts.userAgent)
        } else {
            setTexts(head, bytes, requestID: bytes.extracting(facts.requestID.range), userAgent: facts.userAgent)
        }
    }

    private mutating func setTexts(
        _ head: RequestHead, _ bytes: Span<UInt8>, requestID: Span<UInt8>, userAgent: ByteRange
    ) {
        server.texts.set(
            method: bytes.extracting(head.methodText.range),
            path: bytes.extracting(head.path.range).extracting(first: Int(head.pathCount)),
            host: bytes.extracting(head.authority.range),
            requestID: requestID,
            userAgent: bytes.extracting(userAgent.range))
    }

    /// A request that could not be read starts a trace of its own.
    mutating func beginRefused(listener: ListenerContext, peer: EndpointAddress, worker: Worker) {
        let decision = worker.decideRefused(listener: listener)
        start(worker, Clock.monotonicMicroseconds)
        hop = decision.hop
        isRecorded = decision.isRecorded
        server.route = 0
        describe(listener: listener, peer: peer)
        server.method = .other
        server.httpMinorVersion = 1
        server.upstream = 0
        server.texts.removeAll()
    }

    private mutating func start(_ worker: Worker, _ now: UInt64) {
        startMicroseconds = now
        epochOffset = worker.epochOffset
        responseStatus = 0
        attemptRuns = false
        server.hasAttempt = false
    }

    private mutating func describe(listener: ListenerContext, peer: EndpointAddress) {
        server.traceID = hop.inbound.traceID
        server.spanID = hop.inbound.spanID
        server.parentID = hop.inbound.parentID
        server.kind = listener.callsOut ? .client : .server
        server.isShared = hop.isShared
        server.isDebug = hop.inbound.sampling == .debug
        server.parentIsRemote = !hop.inbound.parentID.isNone
        server.listener = listener.number
        server.peer = listener.callsOut ? EndpointAddress() : peer
        server.resendCount = 0
        server.requestBytes = 0
        server.responseBytes = 0
    }

    // MARK: Attempts

    mutating func beginAttempt(_ number: UInt8, to endpoint: EndpointAddress, worker: Worker) {
        if server.hasAttempt { recordFailedAttempt(worker) }
        sentContext = hop.attempt(random: &worker.random)
        attemptMicroseconds = number == 0 ? startMicroseconds : Clock.monotonicMicroseconds
        attemptRuns = true
        if server.kind == .client {
            server.peer = endpoint
            server.resendCount = number
        }
        server.attempt.spanID = sentContext.spanID
        server.attempt.parentID = server.spanID
        server.attempt.startMicroseconds = attemptMicroseconds &+ epochOffset
        server.attempt.peer = endpoint
        server.attempt.resendCount = number
    }

    mutating func responseBegan(_ status: UInt16) { responseStatus = status }

    /// An attempt that failed, with or without another to follow.
    mutating func endAttempt(error: ProxyError, worker: Worker) {
        guard attemptRuns else { return }
        endAttempt(now: Clock.monotonicMicroseconds, error: error.spanError)
    }

    /// An attempt whose response goes no further, because another attempt follows.
    mutating func endAttempt(status: UInt16) {
        guard attemptRuns else { return }
        responseStatus = status
        endAttempt(now: Clock.monotonicMicroseconds, error: .none)
        responseStatus = 0
    }

    /// Its span is reported with the SERVER span, or when another attempt follows.
    private mutating func endAttempt(now: UInt64, error: SpanError) {
        attemptRuns = false
        guard isRecorded, hop.reportsAttempts else { return }
        server.attempt.durationMicroseconds = max(1, now - attemptMicroseconds)
        server.attempt.status = responseStatus
        server.attempt.error = error
        server.hasAttempt = true
    }

    private mutating func recordFailedAttempt(_ worker: Worker) {
        var client = server
        client.hasAttempt = false
        client.swapAttempt()
        worker.record(&client)
        server.hasAttempt = false
    }

    // MARK: The end

    /// The response has gone out whole.
    mutating func ended(requestBytes: UInt64, responseBytes: UInt64, worker: Worker) {
        let now = Clock.monotonicMicroseconds
        worker.metrics.transferred(requestBytes: requestBytes, responseBytes: responseBytes)
        server.requestBytes = requestBytes
        server.responseBytes = responseBytes
        if attemptRuns { endAttempt(now: now, error: .none) }
        recordServer(now: now, status: responseStatus, error: .none, worker: worker)
    }

    /// This proxy has answered by itself.
    mutating func answered(status: UInt16, error: ProxyError?, worker: Worker) {
        recordServer(
            now: Clock.monotonicMicroseconds, status: status, error: error?.spanError ?? .none, worker: worker)
    }

    /// Nobody could be told.
    mutating func aborted(error: ProxyError, worker: Worker) {
        recordServer(
            now: Clock.monotonicMicroseconds, status: responseStatus, error: error.spanError, worker: worker)
    }

    private mutating func recordServer(now: UInt64, status: UInt16, error: SpanError, worker: Worker) {
        let duration = now - startMicroseconds
        worker.metrics.requestEnded(route: server.route, status: status, microseconds: duration)
        guard isRecorded else { return }
        server.startMicroseconds = startMicroseconds &+ epochOffset
        server.durationMicroseconds = max(1, duration)
        server.status = status
        server.error = error
        worker.record(&server)
    }
}
