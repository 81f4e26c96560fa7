// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import Propagation
import SpanEmitter

/// One request and its response: the only place that knows the order of things.
///
/// Begin: extract, match a route, decide, acquire a connection. Request: write the head, relay the
/// body. Response: read the head, relay the body. End: record the spans, give the connection back.
/// Objects are pooled per worker, so no request allocates one.
final class Exchange {
    /// Interim (1xx) responses passed on before the final one; more is a fault of the upstream.
    static let interimLimit = 100
    /// Turns of one relay before other sockets get theirs; a full turn moves up to 64 KiB.
    private static let turnLimit = 16
    private static let tunnelIdleMilliseconds = 3_600_000

    let worker: Worker
    private(set) var downstream: DownstreamConnection?
    private var upstream: UpstreamConnection?
    private var route: RouteContext?

    private var head = RequestHead.unread
    private var requestRelay = BodyRelay(.none, writesChunks: false)
    private var responseRelay = BodyRelay(.none, writesChunks: false)
    private var flags = Flags()
    private var interimCount = 0
    private var attempt: UInt8 = 0
    private var changes: RequestWriter.Changes?
    private var responseMethod = Method.get
    private var responseSeenCount = 0
    private var report = ExchangeReport()
    private var bodyLimit: UInt64 = 0

    private struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt16
        /// The downstream asked for, and this proxy agrees to, another request on the connection.
        static let keepsAlive = Flags(rawValue: 1)
        /// The sent request may be sent again on another connection: nothing has come back yet.
        static let replayable = Flags(rawValue: 2)
        /// The request head has been handed to the upstream connection's output.
        static let requestBegun = Flags(rawValue: 4)
        /// The kernel has taken the whole request.
        static let requestSent = Flags(rawValue: 8)
        /// A final response head has been passed on.
        static let responseBegun = Flags(rawValue: 16)
        static let isTunnel = Flags(rawValue: 32)
        /// The upstream connection may serve another exchange after this one.
        static let reusesUpstream = Flags(rawValue: 64)
        /// The kernel took at least one byte of the request.
        static let requestLeft = Flags(rawValue: 128)
        /// A connect to another address has been tried.
        static let triedOther = Flags(rawValue: 256)
        /// The response head and body so far wait only for the downstream's socket.
        static let responseBlocked = Flags(rawValue: 512)
        static let requestBlocked = Flags(rawValue: 1024)
        static let continueSent = Flags(rawValue: 2048)
    }

    init(worker: Worker) {
        self.worker = worker
    }

    // MARK: Begin

    /// - Parameter head: just parsed from the front of the connection's input; the worker's field table is its.
    func begin(_ head: RequestHead, from downstream: DownstreamConnection) {
        start(downstream)
        self.head = head
        responseMethod = head.method
        if head.keepAlive, !worker.isDraining { flags.insert(.keepsAlive) }
        downstream.setDeadline(milliseconds: nil)

        guard let error = route(downstream.input, for: downstream) else {
            return acquire(isFresh: false, headIsParsed: true)
        }
        if let fixed = route?.fixedReply { reply(fixed) } else { reply(error) }
    }

    /// Reads the head's fields, finds the route and decides about the trace.
    ///
    /// - Returns: why the request is not forwarded; a route's fixed reply goes first.
    private func route(_ input: borrowing Buffer, for downstream: DownstreamConnection) -> ProxyError? {
        let listener = downstream.listener
        let bytes = input.readable
        let facts = RequestFacts(bytes, head: head, fields: &worker.fields, listener: listener, worker: worker)
        let path = bytes.extracting(head.path.range)
        let match = listener.routes.match(
            method: bytes.extracting(head.methodText.range), host: bytes.extracting(head.authority.range),
            path: path.extracting(first: Int(head.pathCount)), fields: worker.fields, bytes: bytes)
        let route = match.flatMap { listener.route($0) }
        let decision = worker.decide(facts, route: route, listener: listener)
        report.begin(
            head: head, bytes: bytes, facts: facts, decision: decision, route: route, listener: listener,
            peer: downstream.peer, worker: worker)
        guard let route else { return .noRoute }
        self.route = route
        guard route.fixedReply == nil else { return .noRoute }
        changes = RequestWriter.Changes(
            trace: decision.hop.server, formats: listener.tracing.inject, peer: downstream.peerText,
            forwarded: listener.forwarded, replacedPathCount: route.replacedPathCount(path), addsVia: listener.addsVia,
            requestID: facts.mintedRequestID)
        bodyLimit = listener.bodyLimit
        if case .length(let count) = head.framing, bodyLimit > 0, count > bodyLimit { return .bodyTooLarge }
        return nil
    }

    /// Answers a request that could not be read.
    func refuse(_ error: ProxyError, from downstream: DownstreamConnection) {
        start(downstream)
        report.beginRefused(listener: downstream.listener, peer: downstream.peer, worker: worker)
        reply(error)
    }

    private func start(_ downstream: DownstreamConnection) {
        self.downstream = downstream
        flags = []
        interimCount = 0
        attempt = 0
        responseSeenCount = 0
        head = .unread
        responseMethod = .get
        requestRelay = BodyRelay(.none, writesChunks: false)
        responseRelay = BodyRelay(.none, writesChunks: false)
        downstream.retainedCount = 0
    }

    // MARK: Upstream connection

    private func acquire(isFresh: Bool, headIsParsed: Bool) {
        guard let target = route?.upstream else { return reply(.noAddress) }
        switch target.acquire(isFresh: isFresh) {
        case .ready(let connection):
            adopt(connection)
            worker.metrics.upstreamConnection(isReused: connection.useCount > 0)
            sendRequest(on: connection, headIsParsed: headIsParsed)
        case .connecting(let connection):
            adopt(connection)
            worker.metrics.upstreamConnection(isReused: false)
            connection.setDeadline(milliseconds: target.settings.connectMilliseconds)
        case .failed(let error): connectFailed(error)
        }
    }

    private func adopt(_ connection: UpstreamConnection) {
        upstream = connection
        connection.exchange = self
        report.beginAttempt(attempt, to: connection.pool.address, worker: worker)
    }

    func upstreamConnected(errno: CInt) {
        guard let upstream else { return }
        guard errno == 0 else { return connectFailed(.connectFailed(errno: errno)) }
        sendRequest(on: upstream, headIsParsed: false)
    }

    /// Nothing has been sent, so another address may be tried, once.
    private func connectFailed(_ error: ProxyError) {
        if let route, let target = route.upstream { worker.metrics.upstreamError(target.number, error) }
        dropUpstream(error)
        guard !flags.contains(.triedOther), let target = route?.upstream, target.addressCount > 1 else {
            return reply(error)
        }
        flags.insert(.triedOther)
        attempt += 1
        acquire(isFresh: false, headIsParsed: false)
    }

    private func dropUpstream(_ error: ProxyError) {
        guard let connection = upstream else { return }
        upstream = nil
        report.endAttempt(error: error, worker: worker)
        connection.pool.close(connection)
    }

    // MARK: Request

    private func sendRequest(on upstream: UpstreamConnection, headIsParsed: Bool) {
        guard let downstream, let route, var changes else { return }
        if !headIsParsed {
            // Another exchange has used the worker's table since; the head lies unchanged at the front.
            guard worker.reparse(downstream.input, listener: downstream.listener) else { return fail(.outOfBuffers) }
        }
        changes.trace = report.sentContext
        let count = Int(head.length)
        let fits = writeHead(from: downstream.input, to: &upstream.output, route: route, changes: changes)
        guard let fits else { return fail(.outOfBuffers) }
        guard fits else { return fail(.headTooLarge) }
        flags.insert(.requestBegun)
        requestRelay = BodyRelay(head.framing, writesChunks: head.framing == .chunked)
        downstream.retainedCount = count
        if upstream.useCount > 0, attempt == 0 {
            flags.insert(.replayable)
        } else {
            releaseRetained()
        }
        sendContinueIfAsked(downstream)
        relayRequest()
    }

    /// - Returns: whether it had room; `nil` without a buffer.
    private func writeHead(
        from input: borrowing Buffer, to output: inout Buffer, route: RouteContext, changes: RequestWriter.Changes
    ) -> Bool? {
        let needed = Int(head.length) + RequestWriter.addedByteCount + route.addedByteCount + worker.traceState.byteCount
        let bytes = input.readable
        return output.append { out in
            guard out.freeCapacity >= needed else { return false }
            RequestWriter.write(
                bytes, head: head, fields: worker.fields, route: route, changes: changes,
                traceState: worker.traceState, into: &out)
            return true
        }
    }

    /// `Expect: 100-continue` is answered here: the body is wanted, the upstream is not asked (RFC 9110 §10.1.1).
    private func sendContinueIfAsked(_ downstream: DownstreamConnection) {
        guard head.expectsContinue, !flags.contains(.continueSent), downstream.output.isEmpty else { return }
        flags.insert(.continueSent)
        guard downstream.input.count == downstream.retainedCount else { return }  // the body is already here
        _ = downstream.output.append { $0.write("HTTP/1.1 100 Continue\r\n\r\n") }
        _ = downstream.flush(&downstream.output)
    }

    /// What was kept for a replay is not needed any more.
    private func releaseRetained() {
        flags.remove(.replayable)
        guard let downstream else { return }
        downstream.input.consume(downstream.retainedCount)
        downstream.retainedCount = 0
    }

    private func relayRequest() {
        guard let downstream, let upstream, !flags.contains(.requestSent) else { return }
        for _ in 0..<Self.turnLimit {
            let outcome = Pump.run(
                &requestRelay, from: &downstream.input, skipping: &downstream.retainedCount,
                retains: flags.contains(.replayable), through: &upstream.output, to: upstream)
            switch outcome {
            case .finished: return requestEnded()
            case .blocked:
                flags.formUnion([.requestLeft, .requestBlocked])
                downstream.setDeadline(milliseconds: nil)
                upstream.setDeadline(milliseconds: route?.upstream?.settings.idleMilliseconds)
                return
            case .malformed(let error): return fail(.malformedRequest(error))
            case .sinkFailed:
                // An early response, such as 413, may lie before the reset that stopped us.
                flags.insert(.requestBlocked)
                upstream.assumeReadable()
                return relayResponse()
            case .needsSource:
                flags.insert(.requestLeft)
                if bodyLimit > 0, requestRelay.byteCount > bodyLimit { return fail(.bodyTooLarge) }
                guard downstream.mayRead else { return awaitRequestBody(downstream, upstream) }
                switch downstream.receive(into: &downstream.input) {
                case .bytes: break
                case .wouldBlock: return awaitRequestBody(downstream, upstream)
                case .full where flags.contains(.replayable): releaseRetained()
                case .full: return fail(.outOfBuffers)
                case .endOfStream, .failed:
                    guard flags.contains(.isTunnel) else { return abort(.downstreamGone) }
                    return tunnelSideEnded(sourceIsDownstream: true)
                }
            }
        }
        downstream.resumeSoon()
    }

    private func awaitRequestBody(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) {
        flags.remove(.requestBlocked)
        downstream.input.releaseIfEmpty()
        upstream.output.releaseIfEmpty()
        guard !flags.contains(.isTunnel) else { return renewTunnel() }
        downstream.setDeadline(milliseconds: downstream.listener.timeouts.requestBodyIdleMilliseconds)
        if !flags.contains(.responseBegun) { upstream.setDeadline(milliseconds: nil) }
    }

    private func requestEnded() {
        guard let downstream, let upstream else { return }
        if flags.contains(.isTunnel) { return tunnelSideEnded(sourceIsDownstream: true) }
        flags.formUnion([.requestSent, .requestLeft])
        flags.remove(.requestBlocked)
        upstream.output.release()
        downstream.setDeadline(milliseconds: nil)
        if !flags.contains(.responseBegun) {
            upstream.setDeadline(milliseconds: route?.responseMilliseconds)
        }
        // Bytes that came while the request went out raised their event already.
        if upstream.mayRead { relayResponse() }
    }

    // MARK: Response

    private func relayResponse() {
        for _ in 0..<Self.turnLimit {
            guard let downstream, let upstream else { return }
            if !flags.contains(.responseBegun) {
                guard readResponseHead(downstream, upstream) else { return }
                continue
            }
            var skipped = 0
            let outcome = Pump.run(
                &responseRelay, from: &upstream.input, skipping: &skipped, retains: false,
                through: &downstream.output, to: downstream)
            switch outcome {
            case .finished: return responseEnded()
            case .blocked:
                flags.insert(.responseBlocked)
                upstream.setDeadline(milliseconds: nil)
                downstream.setDeadline(milliseconds: route?.upstream?.settings.idleMilliseconds)
                return
            case .malformed(let error): return fail(.malformedResponse(error))
            case .sinkFailed: return abort(.downstreamGone)
            case .needsSource: guard receiveResponse(downstream, upstream) else { return }
            }
        }
        upstream?.resumeSoon()
    }

    /// Reads more of the response; `false` when it must be waited for or has ended.
    private func receiveResponse(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) -> Bool {
        guard upstream.mayRead else {
            awaitResponse(downstream, upstream)
            return false
        }
        switch upstream.receive(into: &upstream.input) {
        case .bytes: return true
        case .wouldBlock: awaitResponse(downstream, upstream)
        case .full: fail(upstream.input.isFull ? .malformedResponse(.headTooLarge) : .outOfBuffers)
        case .failed: upstreamClosed(isReset: true)
        case .endOfStream: upstreamClosed(isReset: false)
        }
        return false
    }

    private func awaitResponse(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) {
        flags.remove(.responseBlocked)
        upstream.input.releaseIfEmpty()
        downstream.output.releaseIfEmpty()
        if flags.contains(.isTunnel) { return renewTunnel() }
        guard flags.contains(.responseBegun) else { return }  // the response deadline runs
        upstream.setDeadline(milliseconds: route?.upstream?.settings.idleMilliseconds)
        if flags.contains(.requestSent) { downstream.setDeadline(milliseconds: nil) }
    }

    /// - Returns: whether a final head has been passed to the downstream's output, or a 1xx taken.
    private func readResponseHead(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) -> Bool {
        if upstream.input.count > responseSeenCount {
            if flags.contains(.replayable) { releaseRetained() }
            do throws(SyntaxError) {
                let progress = try parseHead(upstream.input, limits: downstream.listener.responseLimits)
                if case .complete(let response) = progress {
                    responseSeenCount = 0
                    return take(response, downstream, upstream)
                }
                responseSeenCount = upstream.input.count
            } catch {
                fail(.malformedResponse(error))
                return false
            }
        }
        return receiveResponse(downstream, upstream)
    }

    private func parseHead(
        _ input: borrowing Buffer, limits: HeadLimits
    ) throws(SyntaxError) -> HeadProgress<ResponseHead> {
        try parseResponseHead(
            input.readable, alreadySeen: responseSeenCount, requestMethod: responseMethod, limits: limits,
            fields: &worker.fields)
    }

    private func take(_ response: ResponseHead, _ downstream: DownstreamConnection, _ upstream: UpstreamConnection) -> Bool {
        if response.status < 200, response.status != 101 { return takeInterim(response, downstream, upstream) }
        if response.status == 101 { return takeUpgrade(response, downstream, upstream) }
        var changes = ResponseWriter.Changes()
        if response.framing == .untilClose {
            changes.writesChunks = head.minorVersion == 1
            if !changes.writesChunks { flags.remove(.keepsAlive) }
        } else if response.framing == .chunked {
            changes.writesChunks = head.minorVersion == 1
            if !changes.writesChunks { flags.remove(.keepsAlive) }
        }
        // The rest of a request whose response is known is not wanted (RFC 9112 §9.6).
        if !flags.contains(.requestSent) || worker.isDraining { flags.remove(.keepsAlive) }
        changes.closes = !flags.contains(.keepsAlive)
        changes.keepsAlive10 = head.minorVersion == 0 && !changes.closes
        changes.addsVia = downstream.listener.addsVia
        if response.keepAlive, flags.contains(.requestSent) { flags.insert(.reusesUpstream) }
        report.responseBegan(response.status)
        responseRelay = BodyRelay(response.framing, writesChunks: changes.writesChunks)
        return passHead(response, changes, downstream, upstream)
    }

    private func takeInterim(_ response: ResponseHead, _ downstream: DownstreamConnection, _ upstream: UpstreamConnection) -> Bool {
        interimCount += 1
        guard interimCount <= Self.interimLimit else {
            fail(.tooManyInterimResponses)
            return false
        }
        // 100 is answered by this proxy, and an HTTP/1.0 downstream knows no 1xx (RFC 9110 §15.2).
        if response.status == 100 || head.minorVersion == 0 {
            upstream.input.consume(Int(response.length))
            return true
        }
        guard writeHead(response, ResponseWriter.Changes(), downstream, upstream) else { return false }
        switch downstream.flush(&downstream.output) {
        case .sent, .wouldBlock: return true  // what is left goes with the next head
        case .failed:
            abort(.downstreamGone)
            return false
        }
    }

    private func takeUpgrade(_ response: ResponseHead, _ downstream: DownstreamConnection, _ upstream: UpstreamConnection) -> Bool {
        // A websocket handshake is the only upgrade the request parser lets through.
        guard !head.upgrade.isEmpty, names("websocket", in: upstream.input, response.upgrade) else {
            fail(.unexpectedUpgrade)
            return false
        }
        report.responseBegan(101)
        flags.insert(.isTunnel)
        flags.remove(.keepsAlive)
        flags.remove(.requestSent)
        responseRelay = .tunnel
        requestRelay = .tunnel
        downstream.setDeadline(milliseconds: nil)
        var changes = ResponseWriter.Changes()
        changes.upgrades = true
        guard passHead(response, changes, downstream, upstream) else { return false }
        // Bytes behind the request head were held until now (reliability.md A.5, 7).
        if downstream.mayRead || !downstream.input.isEmpty { downstream.resumeSoon() }
        return true
    }

    private func names(_ token: String, in input: borrowing Buffer, _ range: ByteRange) -> Bool {
        lowercasedEquals(input.readable.extracting(range.range), token)
    }

    private func passHead(
        _ response: ResponseHead, _ changes: ResponseWriter.Changes, _ downstream: DownstreamConnection,
        _ upstream: UpstreamConnection
    ) -> Bool {
        let passesOn = ResponseWriter.canPassOn(response, changes) && downstream.output.isEmpty
        if passesOn, let count = responseRelay.verbatimCount(of: upstream.input.count - Int(response.length)) {
            // The usual case: head and body at hand leave in one call, uncopied.
            flags.insert(.responseBegun)
            return sendVerbatim(Int(response.length) + count, headCount: Int(response.length), downstream, upstream)
        }
        guard writeHead(response, changes, downstream, upstream) else { return false }
        flags.insert(.responseBegun)
        return true
    }

    private func sendVerbatim(
        _ count: Int, headCount: Int, _ downstream: DownstreamConnection, _ upstream: UpstreamConnection
    ) -> Bool {
        let sent: Int
        switch downstream.send(upstream.input.readable.extracting(first: count)) {
        case .sent(let taken): sent = taken
        case .wouldBlock: sent = 0
        case .failed:
            abort(.downstreamGone)
            return false
        }
        if sent < headCount {
            // The kernel stopped inside the head: its rest goes through the output buffer.
            let left = headCount - sent
            guard downstream.output.append(copying: upstream.input.readable.extracting(sent..<headCount)) == left else {
                abort(.outOfBuffers)
                return false
            }
        } else {
            responseRelay.passed(sent - headCount)
        }
        upstream.input.consume(max(sent, headCount))
        return true
    }

    private func writeHead(
        _ response: ResponseHead, _ changes: ResponseWriter.Changes, _ downstream: DownstreamConnection,
        _ upstream: UpstreamConnection
    ) -> Bool {
        let fits = writeHead(response, changes, from: upstream.input, to: &downstream.output)
        guard let fits else {
            fail(.outOfBuffers)
            return false
        }
        guard fits else {
            fail(.malformedResponse(.headTooLarge))
            return false
        }
        upstream.input.consume(Int(response.length))
        return true
    }

    private func writeHead(
        _ response: ResponseHead, _ changes: ResponseWriter.Changes, from input: borrowing Buffer,
        to output: inout Buffer
    ) -> Bool? {
        let bytes = input.readable
        return output.append { out in
            guard out.freeCapacity >= Int(response.length) + ResponseWriter.addedByteCount else { return false }
            ResponseWriter.write(bytes, head: response, fields: worker.fields, changes: changes, into: &out)
            return true
        }
    }

    private func upstreamClosed(isReset: Bool) {
        guard let downstream else { return }
        if flags.contains(.isTunnel) {
            if isReset { return abort(.upstreamClosed) }
            return tunnelSideEnded(sourceIsDownstream: false)
        }
        guard flags.contains(.responseBegun) else { return upstreamFailed() }
        guard !isReset, responseRelay.sourceClosed(into: &downstream.output) else { return fail(.responseTruncated) }
        flags.remove(.reusesUpstream)
        relayResponse()
    }

    /// The upstream broke before a response byte: the peer of an idle connection may have closed
    /// it just as we wrote. A replay is safe when the method is idempotent, or when the kernel
    /// took no byte of the request; once, on a connection of our own making (RFC 9112 §9.3.1).
    private func upstreamFailed() {
        guard !flags.contains(.responseBegun) else { return fail(.responseTruncated) }
        let hasResponseBytes = upstream.map { !$0.input.isEmpty } ?? false
        let isSafe = head.method.isIdempotent || !flags.contains(.requestLeft)
        guard flags.contains(.replayable), !hasResponseBytes, interimCount == 0, isSafe else {
            return fail(.upstreamClosed)
        }
        worker.metrics.replayed()
        dropUpstream(.upstreamClosed)
        flags.subtract([.replayable, .requestBegun, .requestSent, .requestLeft, .requestBlocked])
        attempt += 1
        downstream?.retainedCount = 0
        acquire(isFresh: true, headIsParsed: false)
    }

    // MARK: Tunnel

    private func renewTunnel() {
        upstream?.setDeadline(milliseconds: Self.tunnelIdleMilliseconds)
        downstream?.setDeadline(milliseconds: nil)
    }

    /// One direction of a tunnel has ended: the other side is told, and may go on.
    private func tunnelSideEnded(sourceIsDownstream: Bool) {
        guard let downstream, let upstream else { return }
        if sourceIsDownstream {
            flags.insert(.requestSent)
            upstream.shutdownWrite()
        } else {
            _ = responseRelay.sourceClosed(into: &downstream.output)
            downstream.shutdownWrite()
        }
        if flags.contains(.requestSent), responseRelay.isComplete { responseEnded() }
    }

    // MARK: Events

    func downstreamReadable() {
        guard let downstream else { return }
        if flags.contains(.isTunnel) || (flags.contains(.requestBegun) && !flags.contains(.requestSent)) {
            if !flags.contains(.requestBlocked) { relayRequest() }
            return
        }
        // The request is complete or waits for its upstream: pipelined bytes stay where they are, and an
        // end of stream is only half a close; a reset means nobody waits for the response.
        guard downstream.peerHasEnded, case .failed = downstream.peek() else { return }
        abort(.downstreamGone)
    }

    func downstreamWritable() {
        guard let downstream else { return }
        if flags.contains(.responseBegun) { return relayResponse() }
        if !downstream.output.isEmpty { _ = downstream.flush(&downstream.output) }
    }

    func upstreamReadable() {
        if flags.contains(.responseBlocked) { return }
        relayResponse()
    }

    func upstreamWritable() {
        flags.remove(.requestBlocked)
        relayRequest()
    }

    func upstreamDeadlinePassed(isConnecting: Bool) {
        if isConnecting { return connectFailed(.connectTimedOut) }
        if flags.contains(.isTunnel) { return abort(.responseTimedOut) }
        fail(flags.contains(.responseBegun) ? .responseTruncated : .responseTimedOut)
    }

    func downstreamDeadlinePassed() {
        if flags.contains(.responseBegun) { return abort(.downstreamGone) }
        fail(.requestTimedOut)
    }

    // MARK: End

    private func responseEnded() {
        guard let downstream, let upstream else { return }
        var keepsAlive = flags.contains(.keepsAlive)
        let isReusable = flags.contains(.reusesUpstream) && flags.contains(.requestSent) && upstream.input.isEmpty
        if !flags.contains(.requestSent) { keepsAlive = false }
        report.ended(requestBytes: requestRelay.byteCount, responseBytes: responseRelay.byteCount, worker: worker)
        self.upstream = nil
        if isReusable { upstream.pool.giveBack(upstream) } else { upstream.pool.close(upstream) }
        finish()
        downstream.exchangeEnded(keepsAlive: keepsAlive)
    }

    /// Before a response head has gone out, the downstream is told; afterwards it must see a cut.
    private func fail(_ error: ProxyError) {
        if error.isUpstreamFault, let target = route?.upstream { worker.metrics.upstreamError(target.number, error) }
        guard !flags.contains(.responseBegun), error.status != 0 else { return abort(error) }
        dropUpstream(error)
        reply(error)
    }

    private func reply(_ error: ProxyError) {
        guard let downstream else { return }
        settleInput(downstream, keepsAlive: canKeepAlive && !isSyntaxError(error))
        let closes = !flags.contains(.keepsAlive)
        _ = downstream.output.append {
            LocalReply.write(
                status: error.status, reason: error.reason, isHead: responseMethod == .head, closes: closes, into: &$0)
        }
        worker.metrics.localReply(error)
        report.answered(status: error.status, error: error, worker: worker)
        endLocally(downstream)
    }

    private func reply(_ fixed: FixedReply) {
        guard let downstream else { return }
        settleInput(downstream, keepsAlive: canKeepAlive)
        let closes = !flags.contains(.keepsAlive)
        _ = downstream.output.append {
            LocalReply.write(
                status: fixed.status, body: fixed.body.span, isHead: responseMethod == .head, closes: closes, into: &$0)
        }
        report.answered(status: fixed.status, error: nil, worker: worker)
        endLocally(downstream)
    }

    private var canKeepAlive: Bool {
        flags.contains(.keepsAlive) && (head.framing == .none || flags.contains(.requestSent))
    }

    private func isSyntaxError(_ error: ProxyError) -> Bool {
        if case .malformedRequest = error { return true }
        return error == .requestTimedOut || error == .headTooLarge
    }

    /// Leaves the next request at the front of the input, or nothing when the connection will close.
    private func settleInput(_ downstream: DownstreamConnection, keepsAlive: Bool) {
        if keepsAlive {
            downstream.input.consume(flags.contains(.requestBegun) ? downstream.retainedCount : Int(head.length))
        } else {
            flags.remove(.keepsAlive)
        }
        downstream.retainedCount = 0
    }

    /// A local reply is small: a peer whose socket takes none of it is not waited for.
    private func endLocally(_ downstream: DownstreamConnection) {
        let outcome = downstream.flush(&downstream.output)
        let keepsAlive = flags.contains(.keepsAlive)
        finish()
        guard case .sent = outcome, downstream.output.isEmpty else { return downstream.exchangeAborted() }
        downstream.exchangeEnded(keepsAlive: keepsAlive)
    }

    /// The worker stops now.
    func abandon() { abort(.shuttingDown) }

    private func abort(_ error: ProxyError) {
        guard let downstream else { return }
        dropUpstream(error)
        report.aborted(error: error, worker: worker)
        finish()
        downstream.exchangeAborted()
    }

    /// Back to the pool; nothing of this object may be used afterwards.
    private func finish() {
        downstream = nil
        upstream = nil
        route = nil
        changes = nil
        worker.recycle(self)
    }
}
