// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import Propagation
import SpanEmitter

/// One thread's share of the proxy: its loop, listeners, upstream pools, exchanges and span ring.
/// Nothing of it is shared with another worker.
final class Worker {
    let loop: EventLoop
    let buffers: BufferPool
    let supplies: SessionSupplies
    let metrics: WorkerMetrics
    /// Exchanges between two tries.
    let backOff: BackOffQueue
    let handshakes: HandshakeQueue
    let ring: SpanRing
    /// Scratch: the field lines of the head parsed last.
    var fields = FieldTable()
    /// Scratch: the trace context of the head parsed last.
    var extraction = Extraction(formats: [])
    /// Scratch: the `tracestate` of the head parsed last.
    var traceState = TraceState()
    /// Scratch: entries of X-Forwarded-For, in the head parsed last, that are too many to go on.
    var surplusForwardedCount = 0
    var random = IDRandom()
    private var sampler: Sampler
    private let wakeReporter: Bell
    /// Added to monotonic microseconds, gives microseconds since 1970; set anew each second.
    private(set) var epochOffset: UInt64
    /// Responses say `Connection: close`.
    private(set) var isDraining = false

    private var isFinishing = false

    private static let farewellMilliseconds = 500
    private static let sweepSeconds = 10
    private static let spareExchangeLimit = 1024
    /// For handshakes that are under way when the worker begins to finish: closing the listening
    /// socket between the two ends of one would reset a connection its peer believes in.
    private static let lastCallMilliseconds = 100
    private var listeners: [Acceptor] = []
    private var upstreams: [Upstream] = []
    private var downstreams: [(any Downstream)?] = []
    private var freeSlots: [Int] = []
    private var spareExchanges: [Exchange] = []
    private var housekeeping: LoopTimer?
    private var lastCall: LoopTimer?
    let log: Log
    private(set) var openCount = 0
    /// Of those, the ones that speak HTTP/2.
    private var http2Count = 0
    private var secondsToSweep = sweepSeconds
    private let connectionLimit: Int
    private let bufferPages: Int
    private let overloadMarks: OverloadMarks
    /// Of handshakes, that OpenSSL has begun with; they may take as much memory as the buffers.
    let handshakeLimit: Int
    private static let handshakeBytes = 44 << 10
    var begunHandshakes = 0
    /// Refused connections that the log knows of.
    private var toldRefusedCount = 0

    /// - Parameters:
    ///   - bufferPages: memory of all buffers, in pages of ``BufferPool/pageSize``.
    ///   - connectionLimit: downstream connections beyond it, over all listeners, are closed at once.
    init(
        loop: EventLoop, bufferPages: Int, connectionLimit: Int, sampler: Sampler, metrics: WorkerMetrics,
        ring: SpanRing, wakeReporter: Bell, log: Log
    ) {
        self.loop = loop
        backOff = BackOffQueue(on: loop)
        handshakes = HandshakeQueue(on: loop)
        buffers = BufferPool(limit: bufferPages, pages: bufferPages)
        supplies = SessionSupplies(buffers: buffers, metrics: metrics)
        self.bufferPages = bufferPages
        overloadMarks = OverloadMarks(pages: bufferPages)
        handshakeLimit = bufferPages * BufferPool.pageSize / Self.handshakeBytes
        self.connectionLimit = connectionLimit
        self.sampler = sampler
        self.metrics = metrics
        self.ring = ring
        self.wakeReporter = wakeReporter
        self.log = log
        epochOffset = Clock.epochMicroseconds &- Clock.monotonicMicroseconds
    }

    // MARK: Life

    /// Starts to accept on every listener.
    func start(upstreams: [Upstream], listeners: [(SharedDescriptor, ListenerContext)]) throws(EventLoopError) {
        self.upstreams = upstreams
        for (descriptor, context) in listeners {
            self.listeners.append(
                try Acceptor(descriptor, on: loop) { [unowned self] connection, peer in
                    accept(connection, from: peer, on: context)
                })
        }
        housekeeping = try LoopTimer(on: loop, repeats: true) { [unowned self] in keepHouse() }
        housekeeping?.start(milliseconds: 1000)
    }

    /// Whether every upstream's name has been looked up once.
    var isResolved: Bool { upstreams.allSatisfy(\.isResolved) }

    /// Endpoints may have come to be usable, or have ceased to.
    func verdictsChanged() {
        for upstream in upstreams { upstream.verdictsChanged() }
    }

    /// Answers go on, each with `Connection: close`.
    func beginDrain() {
        isDraining = true
        for connection in downstreams { connection?.beginDrain() }
    }

    /// No new connections. Those between two requests get a short while for one that may be on
    /// its way, which is answered with `Connection: close`; the loop ends with the last connection.
    func finish() {
        isFinishing = true
        beginDrain()
        for listener in listeners { listener.ignoreNew() }
        for connection in downstreams {
            if let connection, connection.isIdle { connection.setDeadline(milliseconds: Self.farewellMilliseconds) }
        }
        lastCall = try? LoopTimer(on: loop) { [unowned self] in closeListeners() }
        if let lastCall { lastCall.start(milliseconds: Self.lastCallMilliseconds) } else { closeListeners() }
    }

    private func closeListeners() {
        for listener in listeners { listener.finish() }
        listeners.removeAll()
        if openCount == 0 { loop.stop() }
    }

    /// Ends everything at once; spans of exchanges in flight are recorded as cut.
    func abandon() {
        isFinishing = true
        for listener in listeners { listener.stop() }
        listeners.removeAll()
        for connection in downstreams { connection?.abandon() }
        for upstream in upstreams { upstream.closeIdle() }
        loop.stop()
    }

    /// The loop has ended: lets go of everything that holds on to this worker.
    func end() {
        loop.asPass {
            for connection in downstreams { connection?.abandon() }
            for upstream in upstreams { upstream.end() }
        }
        for listener in listeners { listener.stop() }
        listeners.removeAll()
        upstreams.removeAll()
        downstreams.removeAll()
        spareExchanges.removeAll()
        handshakes.end()
        housekeeping = nil
    }

    private func keepHouse() {
        freeSpareExchanges()
        epochOffset = Clock.epochMicroseconds &- Clock.monotonicMicroseconds
        for upstream in upstreams { upstream.retryBudget.secondPassed() }
        publishGauges()
        if http2Count > 0 { for connection in downstreams { connection?.lookBehind() } }
        for upstream in upstreams { upstream.lookBehind() }
        secondsToSweep -= 1
        if secondsToSweep == 0 {
            secondsToSweep = Self.sweepSeconds
            if http2Count > 0 { for connection in downstreams { connection?.sweep() } }
        }
        if isPressed { relieve() }
        tellOfRefusals()
    }

    // MARK: Overload

    /// Whether anything has to be given up for want of buffers.
    @inline(__always)
    var isPressed: Bool { buffers.pagesInUse >= overloadMarks.spans }

    var overloadStage: OverloadStage { overloadMarks.stage(atPages: buffers.pagesInUse) }

    /// Once a second while buffers run short.
    private func relieve() {
        let stage = overloadStage
        log.limited(
            .warn, key: "buffers run short", everySeconds: 10, nil,
            ["bytes": String(buffers.pagesInUse * BufferPool.pageSize), "stage": "\(stage)"])
        guard stage >= .keepAlive else { return }
        for connection in downstreams {
            guard let connection, connection.isIdle else { continue }
            connection.setDeadline(milliseconds: Self.farewellMilliseconds)
            metrics.keepAliveShed()
        }
    }

    private func tellOfRefusals() {
        let count = listeners.reduce(0) { $0 + $1.refusedCount }
        guard count > toldRefusedCount else { return }
        log.limited(
            .warn, key: "out of file descriptors", everySeconds: 10, "out of file descriptors: connections are refused",
            ["refused": String(count - toldRefusedCount)])
        toldRefusedCount = count
    }

    private func publishGauges() {
        metrics.retries(waiting: backOff.count)
        metrics.handshakes(waiting: handshakes.count)
        var open = 0
        var idle = 0
        for upstream in upstreams {
            let counts = upstream.connectionCounts
            open += counts.open
            idle += counts.idle
            upstream.publishBusy()
        }
        metrics.gauges(
            upstreamsOpen: open, upstreamsIdle: idle, buffersInUse: buffers.inUse,
            buffersRefused: buffers.refusedCount, acceptsRefused: listeners.reduce(0) { $0 + $1.refusedCount })
        metrics.memory(pages: buffers.pagesInUse, limit: bufferPages, stage: overloadStage)
    }

    // MARK: Downstream connections

    private func accept(_ descriptor: consuming Descriptor, from peer: SocketAddress, on listener: ListenerContext) {
        guard openCount < connectionLimit, listener.admitConnection() else {
            metrics.connectionRefused()
            return  // the descriptor closes
        }
        openCount += 1
        metrics.connectionAccepted()
        metrics.downstreams(open: openCount)
        let slot = freeSlots.popLast() ?? downstreams.count
        if slot == downstreams.count { downstreams.append(nil) }
        if let security = listener.security {
            secure(descriptor, with: security.context(), from: peer, on: listener, slot: slot)
        } else {
            put(DownstreamConnection(descriptor, peer: peer, listener: listener, slot: slot, worker: self))
        }
    }

    /// Gives a connection its place in the table, instead of what was there.
    func put(_ connection: some Downstream) {
        guard downstreams.indices.contains(connection.slot) else { return }
        if let before = downstreams[connection.slot] { loop.keepForThisPass(before) }
        downstreams[connection.slot] = connection
        if connection is HTTP2Downstream {
            http2Count += 1
            metrics.http2Downstreams(open: http2Count)
        }
        if isFinishing, connection.isIdle { connection.setDeadline(milliseconds: Self.farewellMilliseconds) }
    }

    var handshakesBegun: [TLSHandshake] {
        downstreams.compactMap { $0 as? TLSHandshake }.filter { $0.begunAt > 0 }
    }

    /// How long a connection may wait for its next request.
    func keepAliveMilliseconds(_ listener: ListenerContext) -> Int {
        isFinishing ? Self.farewellMilliseconds : listener.timeouts.keepAliveMilliseconds
    }

    /// The connection speaks HTTP/2: another object takes its place.
    func continueAsHTTP2(_ text: DownstreamConnection, _ descriptor: consuming Descriptor, carrier: Carrier?) {
        guard let connection = try? HTTP2Downstream(descriptor, carrier: carrier, from: text) else {
            return downstreamClosed(text)
        }
        put(connection)
        connection.take(&text.input)
    }

    func downstreamClosed(_ connection: some Downstream) {
        guard downstreams.indices.contains(connection.slot), downstreams[connection.slot] === connection else { return }
        if connection is HTTP2Downstream {
            http2Count -= 1
            metrics.http2Downstreams(open: http2Count)
        }
        loop.keepForThisPass(connection)
        leave(connection.slot, of: connection.listener)
    }

    /// A connection that has had this place is no more.
    func leave(_ slot: Int, of listener: ListenerContext) {
        downstreams[slot] = nil  // bounded: given in accept()
        freeSlots.append(slot)
        openCount -= 1
        metrics.downstreams(open: openCount)
        listener.connectionClosed()
        if isFinishing, listeners.isEmpty, openCount == 0 { loop.stop() }
    }

    // MARK: Exchanges

    /// An exchange has got a connection to its upstream.
    @inline(never)  // inlined, it counts a reference to the metrics
    func gotConnection(isReused: Bool) { metrics.upstreamConnection(isReused: isReused) }

    func takeExchange() -> Exchange { spareExchanges.popLast() ?? Exchange(worker: self) }

    /// Keeps it in any case: it may be at work on the stack, and not everyone who called it counts a reference.
    func recycle(_ exchange: consuming Exchange) { spareExchanges.append(exchange) }

    /// Once a second, from the loop.
    private func freeSpareExchanges() {
        let surplus = spareExchanges.count - Self.spareExchangeLimit
        if surplus > 0 { spareExchanges.removeLast(surplus) }
    }

    /// Parses the head at the front of a connection's input once more, because the scratch table
    /// was used by another exchange while this one waited for its upstream.
    func reparse(_ input: borrowing Buffer, from downstream: DownstreamConnection) -> Bool {
        let listener = downstream.listener
        do throws(SyntaxError) {
            let bytes = input.readable
            let progress = try parseRequestHead(bytes, alreadySeen: 0, limits: listener.headLimits, fields: &fields)
            guard case .complete = progress else { return false }
            _ = RequestFacts(bytes, fields: &fields, from: downstream, listener: listener, worker: self)
            return true
        } catch {
            return false
        }
    }

    // MARK: Traces

    /// Keeps or mints ids and decides on recording.
    ///
    /// - Parameters:
    ///   - path: with or without query.
    ///   - isTrusted: whether the caller may ask for debug, and for a recording at any rate.
    func decide(
        _ received: Extracted, rule: SamplingRule, method: Method, path: Span<UInt8>, listener: ListenerContext,
        isTrusted: Bool, nowMicroseconds: UInt64
    ) -> TraceDecision {
        let tracing = listener.tracing
        let rule = rule == .inherit && listener.isNeverSampled(method, path) ? .never : rule
        let extracted = isTrusted ? received : wish(received, on: listener, nowMicroseconds)
        let traceID = Hop.traceID(for: extracted, width: tracing.traceIDWidth, random: &random)
        let decision = sampler.decide(
            extracted, traceID: traceID, rule: rule, nowMicroseconds: nowMicroseconds)
        metrics.propagated(extracted)
        metrics.sampled(decision.reason)
        let hop = Hop(
            extracted, traceID: traceID, sampling: decision.sampling, mode: tracing.mode, random: &random)
        return TraceDecision(hop: hop, isRecorded: decision.sampling.isRecorded)
    }

    /// What is left of an outsider's trace context.
    private func wish(_ received: Extracted, on listener: ListenerContext, _ now: UInt64) -> Extracted {
        switch received.context.sampling {
        case .debug: metrics.outsiderWished(.debugDropped)
        case .accept where listener.grantsWish(nowMicroseconds: now):
            metrics.outsiderWished(.granted)
            return received
        case .accept: metrics.outsiderWished(.capped)
        case .deny, .undecided: return received
        }
        return received.undecided
    }

    func decideRefused(listener: ListenerContext) -> TraceDecision {
        let nothing = Extracted()
        let traceID = Hop.traceID(for: nothing, width: listener.tracing.traceIDWidth, random: &random)
        let decision = sampler.decide(
            nothing, traceID: traceID, rule: .inherit, nowMicroseconds: Clock.monotonicMicroseconds)
        metrics.sampled(decision.reason)
        let hop = Hop(
            nothing, traceID: traceID, sampling: decision.sampling, mode: listener.tracing.mode, random: &random)
        return TraceDecision(hop: hop, isRecorded: decision.sampling.isRecorded)
    }

    /// Hands finished spans to the reporter; a full ring counts them as dropped.
    func record(_ spans: inout SpanRecord) {
        if isPressed { return ring.shed(&spans) }
        if ring.push(&spans) { wakeReporter.ring() }
    }
}

/// The ids of one exchange and whether its spans are recorded.
struct TraceDecision: BitwiseCopyable {
    var hop: Hop
    var isRecorded: Bool
}
