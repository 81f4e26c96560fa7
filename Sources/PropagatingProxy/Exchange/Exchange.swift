// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import Propagation
import SpanEmitter

/// One request and its response: the only place that knows the order of things.
///
/// Begin (here): extract, match a route, decide, acquire a connection. Then the request
/// (ExchangeRequest), the response (ExchangeResponse) and the end (ExchangeEnd): record the spans,
/// give the connection back. Objects are pooled per worker, so no request allocates one.
///
/// Both connections are handed down as parameters: each load from a property would count a
/// reference up and down.
final class Exchange {
    /// Interim (1xx) responses passed on before the final one; more is a fault of the upstream.
    static let interimLimit = 100
    /// Turns of one relay before other sockets get theirs; a turn moves up to 64 KiB.
    static let turnLimit = 16

    let worker: Worker
    /// The worker's table owns it or its HTTP/2 connection, until the exchange has ended; then the loop, for the pass.
    var caller: Lent<DownstreamConnection>?
    var downstream: DownstreamConnection? { caller?.object }
    /// While it is open it is its own.
    private var callee: Lent<UpstreamConnection>?
    var upstream: UpstreamConnection? {
        get { callee?.object }
        set { callee = newValue.map { Lent($0) } }
    }
    /// The downstream's listener owns it, and lasts as long as the downstream.
    var routed: Lent<RouteContext>?
    var route: RouteContext? { routed?.object }

    var head = RequestHead.unread
    var requestRelay = BodyRelay(.none, to: .plain)
    var responseRelay = BodyRelay(.none, to: .plain)
    var flags: ExchangeFlags = []
    var report = ExchangeReport()
    /// Minted, when the received one is absent or not acceptable.
    var requestID: RequestID?
    var attempt: UInt8 = 0
    /// Retries the route still allows.
    var triesLeft: UInt8 = 0
    /// Monotonic microseconds by which a response must have begun, over all tries; 0: no request has gone out whole,
    /// or the route has no retries.
    var responseDue: UInt64 = 0
    /// Of the attempt that runs or comes next.
    var wish = Wish()
    var interimCount = 0
    var bodyWatch = BodyWatch()
    /// Meaningful for a gRPC call only.
    var call = GRPCCall()
    /// Bytes of an incomplete response head that were looked at.
    var responseSeenCount = 0

    init(worker: Worker) {
        self.worker = worker
    }

    /// The setter of ``upstream`` for what is borrowed.
    func attach(_ connection: UpstreamConnection) { callee = Lent(connection) }

    /// - Parameter head: just parsed from the front of the connection's input; the worker's field table is its.
    func begin(_ head: RequestHead, from downstream: DownstreamConnection) {
        start(downstream)
        self.head = head
        if head.keepAlive, !worker.isDraining, downstream.mayTakeMore { flags.insert(.keepsAlive) }
        if worker.isPressed, !isAdmitted(downstream) { return }
        downstream.setDeadline(withinDue: nil)
        let listener = downstream.listener
        let found = listener.route(for: head, in: downstream.input, fields: worker.fields)
        let loops = take(downstream.input, from: downstream, on: listener, route: found)
        if loops { return reply(.loopDetected, to: downstream) }
        if let security = downstream.security, security.mayBeMisdirected,
            isMisdirected(downstream.input, by: security)
        {
            return reply(.misdirected, to: downstream)
        }
        guard let found = found?.context else { return reply(.noRoute, to: downstream) }
        routed = found
        found.use { follow($0, from: downstream) }
    }

    private func follow(_ found: RouteContext, from downstream: DownstreamConnection) {
        let listener = downstream.listener
        if let fixed = found.fixedReply { return reply(fixed, to: downstream) }
        if case .length(let count) = head.framing, listener.bodyLimit > 0, count > listener.bodyLimit {
            return reply(.bodyTooLarge, to: downstream)
        }
        if let key = found.stickyKey { wish.hash = hash(by: key, downstream.input, downstream) }
        if let policy = found.retry {
            triesLeft = policy.attempts
            found.upstream?.retryBudget.noteRequest()
        }
        acquire(for: downstream, route: found, headIsParsed: true)
    }

    private func isMisdirected(_ input: borrowing Buffer, by security: DownstreamSecurity) -> Bool {
        !head.authority.isEmpty && security.isMisdirected(input.readable.extracting(head.authority.range))
    }

    private func hash(by key: StickyKey, _ input: borrowing Buffer, _ downstream: DownstreamConnection) -> UInt64 {
        key.hash(input.readable, fields: worker.fields, peer: downstream.peerEndpoint)
    }

    /// Buffers run short: what this request gets of the usual.
    private func isAdmitted(_ downstream: DownstreamConnection) -> Bool {
        let stage = worker.overloadStage
        if stage >= .keepAlive, flags.contains(.keepsAlive) {
            flags.remove(.keepsAlive)
            worker.metrics.keepAliveShed()
        }
        guard stage >= .requests else { return true }
        beginRefused(downstream)
        reply(.overloaded, to: downstream)
        return false
    }

    /// How long a body may be silent, and a side may take nothing.
    var idleMilliseconds: Int? {
        guard let settings = route?.upstream?.settings else { return nil }
        return flags.contains(.isGRPC) ? settings.grpcIdleMilliseconds : settings.idleMilliseconds
    }

    /// Answers a request that could not be read.
    func refuse(_ error: ProxyError, from downstream: DownstreamConnection) {
        start(downstream)
        beginRefused(downstream)
        reply(error, to: downstream)
    }

    private func beginRefused(_ downstream: DownstreamConnection) {
        report.beginRefused(
            listener: downstream.listener, peer: downstream.peerEndpoint, worker: worker,
            overHTTP2: downstream.hasStream)
    }

    private func start(_ downstream: DownstreamConnection) {
        caller = Lent(downstream)
        flags = []
        interimCount = 0
        attempt = 0
        triesLeft = 0
        responseDue = 0
        wish = Wish()
        responseSeenCount = 0
        head = .unread
        requestRelay = BodyRelay(.none, to: .plain)
        responseRelay = BodyRelay(.none, to: .plain)
        downstream.retainedCount = 0
    }

    /// Takes from the head what spans and the request upstream need, and decides about the trace.
    ///
    /// - Returns: whether the request goes around in circles.
    private func take(
        _ input: borrowing Buffer, from downstream: DownstreamConnection, on listener: ListenerContext,
        route: MatchedRoute?
    ) -> Bool {
        let bytes = input.readable
        let now = Clock.monotonicMicroseconds
        let facts = RequestFacts(bytes, fields: &worker.fields, from: downstream, listener: listener, worker: worker)
        let decision = worker.decide(
            facts.extracted, rule: route?.context.use(\.sampling) ?? .inherit, method: head.method,
            path: bytes.extracting(head.path.range).extracting(first: Int(head.pathCount)),
            listener: listener, isTrusted: downstream.isTrusted, nowMicroseconds: now)
        report.begin(
            at: now, overHTTP2: downstream.hasStream,
            head: head, bytes: bytes, facts: facts, decision: decision, route: route, listener: listener,
            downstream: downstream, worker: worker)
        requestID = facts.mintedRequestID
        if facts.isGRPC { beginCall(facts, downstream) }
        return facts.loops
    }
}
