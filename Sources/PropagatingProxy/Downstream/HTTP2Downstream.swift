// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2
import SpanEmitter

/// One HTTP/2 connection from a downstream peer, with a ``DownstreamConnection`` for each of its streams.
final class HTTP2Downstream: HTTP2Connection, Downstream {
    /// New streams served in one turn of the loop.
    private static let turnLimit = 32
    private static let greetingMilliseconds = 10_000
    /// For bytes the peer does not read.
    private static let stallMilliseconds = 30_000
    /// Between the announcement of a GOAWAY and the last one: requests under way may still arrive.
    private static let goAwayMilliseconds = 1000

    private enum Phase: BitwiseCopyable {
        /// Until the peer has acknowledged our SETTINGS.
        case greeting
        case serving
        /// A GOAWAY is announced.
        case leaving
        /// The last GOAWAY has been queued: streams that are open end.
        case left
    }

    let worker: Worker
    /// The worker's.
    private let metrics: Lent<WorkerMetrics>
    let listener: ListenerContext
    let peerEndpoint: EndpointAddress
    let peerText: IPText
    let isTrusted: Bool
    /// `nil`: a plain connection.
    let security: DownstreamSecurity?
    let slot: Int
    private var phase = Phase.greeting
    private var waiting: [HTTP2Stream] = []
    /// How many at the front of ``waiting`` have been begun.
    private var begunCount = 0
    private var servedCount = 0
    /// As many as were open at once.
    private var streams: [DownstreamConnection] = []
    /// Places of those that wait for a stream to come.
    private var freeSlots: [Int] = []
    /// Streams begun in this turn.
    private var turnCount = 0

    /// Takes over from a connection that turned out to speak HTTP/2.
    init(
        _ descriptor: consuming Descriptor, carrier: Carrier?, from text: DownstreamConnection
    ) throws(HTTP2Error) {
        worker = text.worker
        metrics = Lent(text.worker.metrics)
        listener = text.listener
        peerEndpoint = text.peerEndpoint
        peerText = text.peerText
        isTrusted = text.isTrusted
        security = text.security
        slot = text.slot
        let session = try worker.supplies.session(.server)
        super.init(descriptor, session, carrier: carrier, supplies: worker.supplies, on: worker.loop)
        begin()
    }

    /// Takes over from a handshake that has agreed on HTTP/2.
    init(
        _ descriptor: consuming Descriptor, from handshake: TLSHandshake, _ security: DownstreamSecurity
    ) throws(HTTP2Error) {
        worker = handshake.worker
        metrics = Lent(handshake.worker.metrics)
        listener = handshake.listener
        peerEndpoint = EndpointAddress(handshake.peer)
        peerText = IPText(handshake.peer)
        isTrusted = handshake.listener.trusts(handshake.peer)
        self.security = security
        slot = handshake.slot
        let session = try worker.supplies.session(.server)
        super.init(descriptor, session, carrier: handshake.session, supplies: worker.supplies, on: worker.loop)
        begin()
    }

    private func begin() {
        setDeadline(milliseconds: Self.greetingMilliseconds)
        if worker.isDraining { beginDrain() }
    }

    // MARK: Streams

    override func streamOpened(_ stream: HTTP2Stream) {
        guard waiting.isEmpty, turnCount < Self.turnLimit else { return waiting.append(stream) }
        turnCount += 1
        begin(stream)
    }

    override var mayTakeMore: Bool { super.mayTakeMore && waiting.isEmpty }

    override func ioReady(_ readiness: Readiness) {
        turnCount = 0
        if !waiting.isEmpty { beginSome() }
        super.ioReady(readiness)
    }

    override func deliver() {
        turnCount = 0
        if !waiting.isEmpty { beginSome() }
        super.deliver()
        if !waiting.isEmpty { resumeSoon() }
    }

    /// Of those that had to wait for another turn.
    private func beginSome() {
        while begunCount < waiting.count, turnCount < Self.turnLimit {
            let stream = waiting[begunCount]  // bounded: just compared
            begunCount += 1
            turnCount += 1
            begin(stream)
        }
        guard begunCount == waiting.count else { return resumeSoon() }
        waiting.removeAll(keepingCapacity: true)
        begunCount = 0
    }

    private func begin(_ stream: HTTP2Stream) {
        guard isOpen else { return stream.close(isCut: true) }
        servedCount += 1
        metrics.use { $0.http2StreamBegan() }
        if let slot = freeSlots.popLast() {
            // bounded: a free slot is one of the table, which holds it for as long as this pass
            Lent(streams[slot]).use {
                $0.reuse(for: stream)
                $0.beginStream()
            }
        } else {
            let connection = DownstreamConnection(stream, of: self, slot: streams.count)
            streams.append(connection)
            connection.beginStream()
        }
        if servedCount == listener.requestLimit { beginDrain() }
    }

    func streamClosed(_ connection: DownstreamConnection) {
        freeSlots.append(connection.slot)
        if !isOpen { forgetStreams() }
        flushSoon()
    }

    /// When the last has ended: each of them holds this object.
    private func forgetStreams() {
        guard freeSlots.count == streams.count else { return }
        for connection in streams { worker.loop.keepForThisPass(connection) }
        streams.removeAll()
        freeSlots.removeAll()
    }

    // MARK: The connection's end

    var isIdle: Bool { session.streamCount == 0 && waiting.isEmpty }

    /// New requests are to come on another connection.
    func beginDrain() {
        guard isOpen, phase == .greeting || phase == .serving else { return }
        phase = .leaving
        session.announceGoAway()
        setDeadline(milliseconds: Self.goAwayMilliseconds)
    }

    override func settle() {
        if phase == .greeting, session.isSettingsAcknowledged { phase = .serving }
        switch phase {
        case .greeting, .leaving: break  // that deadline runs
        case .serving where isBlocked: setDeadline(milliseconds: Self.stallMilliseconds)
        case .serving where isIdle: setIdleDeadline()
        case .left where isIdle: end(.noError)
        case .serving, .left: setDeadline(milliseconds: isBlocked ? Self.stallMilliseconds : nil)
        }
        if !isIdle { idleDeadlineRuns = false }
    }

    /// PINGs do not renew it.
    private func setIdleDeadline() {
        guard !idleDeadlineRuns else { return }
        idleDeadlineRuns = true
        setDeadline(milliseconds: worker.keepAliveMilliseconds(listener))
    }

    private var idleDeadlineRuns = false

    override func deadlinePassed() {
        switch phase {
        case .greeting: end(.settingsTimeout)
        case .serving where isIdle: end(.noError)
        case .leaving:
            phase = .left
            session.goAway(.noError)
            flushSoon()
        case .serving, .left: lose()
        }
    }

    func sweep() {
        session.sweepStalledStreams()
        deliver()
    }

    /// The worker stops now.
    func abandon() {
        for connection in streams { connection.abandon() }
        session.goAway(.noError)
        turnEnded()
        lose()
    }

    override func ended() {
        for stream in waiting.dropFirst(begunCount) { stream.close(isCut: true) }
        waiting.removeAll()
        forgetStreams()
        worker.downstreamClosed(self)
    }
}
