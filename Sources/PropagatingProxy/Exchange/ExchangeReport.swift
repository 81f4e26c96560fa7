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
    /// What the upstream said of a gRPC call; ``GRPCStatus/missing`` until then.
    private var grpcStatus = GRPCStatus.notGRPC
    /// The context the present attempt sends upstream.
    private(set) var sentContext = TraceContext.none

    /// - Parameters:
    ///   - at: monotonic microseconds.
    ///   - overHTTP2: the request is a stream's.
    mutating func begin(
        at now: UInt64, overHTTP2: Bool, head: RequestHead, bytes: Span<UInt8>, facts: RequestFacts,
        decision: TraceDecision, route: MatchedRoute?, listener: ListenerContext, downstream: DownstreamConnection,
        worker: Worker
    ) {
        start(worker, now)
        hop = decision.hop
        sentContext = hop.inbound
        isRecorded = decision.isRecorded
        server.route = route?.number ?? 0
        guard isRecorded else { return }
        describe(listener: listener, peer: downstream.peerEndpoint)
        server.method = head.method
        server.httpVersion = overHTTP2 ? .http2 : head.minorVersion == 0 ? .http10 : .http11
        server.upstream = route?.context.use { $0.upstream?.number } ?? 0
        if let minted = facts.mintedRequestID {
            let text = InlineArray<36, UInt8> { minted.write(into: &$0) }
            setTexts(head, bytes, requestID: text.span, userAgent: facts.userAgent)
        } else {
            setTexts(head, bytes, requestID: bytes.extracting(facts.requestID.range), userAgent: facts.userAgent)
        }
        if let security = downstream.security { describe(security) }
    }

    /// Comes behind the other texts.
    private mutating func describe(_ security: DownstreamSecurity) {
        guard server.kind == .server else { return }
        server.security = security.version
        let (serverName, certificateName) = (security.serverName, security.certificateName)
        server.texts.setTLS(serverName: serverName.utf8.span, certificateName: certificateName.span)
    }

    private mutating func setTexts(
        _ head: RequestHead, _ bytes: Span<UInt8>, requestID: Span<UInt8>, userAgent: ByteRange
    ) {
        server.texts.set(
            method: head.method == .other ? bytes.extracting(head.methodText.range) : Span(),
            path: bytes.extracting(head.path.range).extracting(first: Int(head.pathCount)),
            host: bytes.extracting(head.authority.range),
            requestID: requestID,
            userAgent: bytes.extracting(userAgent.range))
    }

    /// A request that could not be read starts a trace of its own.
    mutating func beginRefused(
        listener: ListenerContext, peer: EndpointAddress, worker: Worker, overHTTP2: Bool
    ) {
        let decision = worker.decideRefused(listener: listener)
        start(worker, Clock.monotonicMicroseconds)
        hop = decision.hop
        isRecorded = decision.isRecorded
        server.route = 0
        describe(listener: listener, peer: peer)
        server.method = .other
        server.httpVersion = overHTTP2 ? .http2 : .http11
        server.upstream = 0
        server.texts.removeAll()
    }

    private mutating func start(_ worker: Worker, _ now: UInt64) {
        startMicroseconds = now
        epochOffset = worker.epochOffset
        responseStatus = 0
        grpcStatus = .notGRPC
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
        server.security = .plain
        server.resendCount = 0
        server.requestBytes = 0
        server.responseBytes = 0
        server.startMicroseconds = startMicroseconds &+ epochOffset
    }

    // MARK: gRPC

    /// The request that has begun is a gRPC call: its spans are named and judged as such.
    mutating func grpcBegan() {
        grpcStatus = .missing
        server.messages = CallMessages()
    }

    /// What the call has come to. Comes before the attempt or the exchange ends.
    mutating func note(_ call: borrowing GRPCCall) {
        grpcStatus = call.status
        guard isRecorded else { return }
        server.messages.request = figures(call.requests)
        server.messages.response = figures(call.responses)
        server.requestBytes = call.requests.byteCount
        server.responseBytes = call.responses.byteCount
    }

    private func figures(_ counter: MessageCounter) -> CallMessages.Figures {
        var figures = CallMessages.Figures()
        figures.count = counter.count
        guard counter.count > 0 else { return figures }
        figures.firstMicroseconds = UInt32(clamping: counter.firstMicroseconds &- startMicroseconds)
        figures.lastMicroseconds = counter.lastMicroseconds &- startMicroseconds
        return figures
    }

    /// The call's status, if the exchange is a call: the upstream's, or else what came instead of it.
    private func finalStatus(_ error: ProxyError?, httpStatus: UInt16) -> GRPCStatus {
        guard grpcStatus == .missing else { return grpcStatus }
        return error?.grpcStatus ?? GRPCStatus(httpStatus: httpStatus)
    }

    // MARK: Attempts

    mutating func beginAttempt(
        _ number: UInt8, to endpoint: EndpointAddress, worker: Worker, overHTTP2: Bool, security: SpanSecurity
    ) {
        if server.hasAttempt { recordFailedAttempt(worker) }
        sentContext = hop.attempt(random: &worker.random)
        attemptMicroseconds = number == 0 ? startMicroseconds : Clock.monotonicMicroseconds
        attemptRuns = true
        if server.kind == .client {
            server.peer = endpoint
            server.resendCount = number
            server.security = security
        }
        server.attempt.spanID = sentContext.spanID
        server.attempt.parentID = server.spanID
        server.attempt.startMicroseconds = attemptMicroseconds &+ epochOffset
        server.attempt.peer = endpoint
        server.attempt.resendCount = number
        server.attempt.httpVersion = overHTTP2 ? .http2 : .http11
        server.attempt.security = security
    }

    /// The handshake of the attempt's new connection has ended, and with it what was open of its protocol.
    mutating func attemptSecured(_ security: SpanSecurity, overHTTP2: Bool) {
        server.attempt.httpVersion = overHTTP2 ? .http2 : .http11
        server.attempt.security = security
        if server.kind == .client { server.security = security }
    }

    mutating func responseBegan(_ status: UInt16) { responseStatus = status }

    /// An attempt that failed, with or without another to follow.
    mutating func endAttempt(error: ProxyError, worker: Worker) {
        guard attemptRuns else { return }
        endAttempt(now: Clock.monotonicMicroseconds, error: error)
    }

    /// An attempt whose response goes no further, because another attempt follows.
    mutating func endAttempt(status: UInt16) {
        guard attemptRuns else { return }
        responseStatus = status
        endAttempt(now: Clock.monotonicMicroseconds, error: nil)
        responseStatus = 0
        if grpcStatus.isCall { grpcStatus = .missing }
    }

    /// Its span is reported with the SERVER span, or when another attempt follows.
    private mutating func endAttempt(now: UInt64, error: ProxyError?) {
        attemptRuns = false
        guard isRecorded, hop.reportsAttempts else { return }
        server.attempt.durationMicroseconds = max(1, now - attemptMicroseconds)
        server.attempt.status = responseStatus
        server.attempt.error = error?.spanError ?? .none
        server.attempt.grpcStatus = finalStatus(error, httpStatus: responseStatus)
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
        if attemptRuns { endAttempt(now: now, error: nil) }
        recordServer(now: now, status: responseStatus, error: nil, worker: worker)
    }

    /// This proxy has answered by itself.
    mutating func answered(status: UInt16, error: ProxyError?, worker: Worker) {
        recordServer(now: Clock.monotonicMicroseconds, status: status, error: error, worker: worker)
    }

    /// Nobody could be told.
    mutating func aborted(error: ProxyError, worker: Worker) {
        recordServer(now: Clock.monotonicMicroseconds, status: responseStatus, error: error, worker: worker)
    }

    private mutating func recordServer(now: UInt64, status: UInt16, error: ProxyError?, worker: Worker) {
        let duration = now - startMicroseconds
        worker.metrics.requestEnded(route: server.route, status: status, microseconds: duration)
        let call = finalStatus(error, httpStatus: status)
        if call.isCall { worker.metrics.grpcEnded(route: server.route, call) }
        guard isRecorded else { return }
        server.durationMicroseconds = max(1, duration)
        server.status = status
        server.error = error?.spanError ?? .none
        server.grpcStatus = call
        worker.record(&server)
    }
}
