// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import HTTP2
import Propagation
import SpanEmitter

/// An exchange's way upstream: a connection, the head, the body.
extension Exchange {
    // MARK: Upstream connection

    /// An upstream connection as ``wish`` says.
    ///
    /// - Parameter headIsParsed: whether the worker's field table still holds this request's lines.
    func acquire(for downstream: DownstreamConnection, route: RouteContext, headIsParsed: Bool) {
        guard let target = route.target else { return reply(.noAddress, to: downstream) }
        switch target.use({ $0.acquire(wish) }) {
        case .ready(let connection):
            connection.use {
                adopt($0, isReused: $0.useCount > 0)
                sendRequest(downstream, $0, route, headIsParsed: headIsParsed)
            }
        case .connecting(let connection):
            connection.use {
                adopt($0, isReused: false)
                $0.setDeadline(milliseconds: target.object.settings.connectMilliseconds)
            }
        case .failed(let error, let pool):
            if let pool {
                wish.avoids = pool.id
                report.beginAttempt(
                    attempt, to: pool.endpoint, worker: worker, overHTTP2: pool.speaksHTTP2,
                    security: pool.tls == nil ? .plain : .unfinished)
                report.endAttempt(error: error, worker: worker)
                pool.noteOutcome(AttemptOutcome(error))
            }
            connectFailed(error)
        case .full: waitForConnection(downstream, target.object)
        }
    }

    private func adopt(_ connection: UpstreamConnection, isReused: Bool) {
        worker.gotConnection(isReused: isReused)
        attach(connection)
        connection.exchange = self
        wish.avoids = connection.endpointID
        report.beginAttempt(
            attempt, to: connection.endpoint, worker: worker, overHTTP2: connection.hasStream,
            security: connection.security)
    }

    /// The connection that was made for this exchange speaks HTTP/2: one of its streams takes its place.
    func upstreamContinues(on stream: UpstreamConnection) {
        upstream = stream
        stream.exchange = self
        upstreamConnected(stream, errno: 0)
    }

    /// The connection that was to give a stream does not speak HTTP/2: the attempt goes on with another one.
    func upstreamMustBeAnother() {
        upstream = nil
        guard let downstream, let route else { return }
        acquire(for: downstream, route: route, headIsParsed: false)
    }

    /// - Parameter errno: how the connect ended; 0 is well.
    func upstreamConnected(_ upstream: UpstreamConnection, errno: CInt) {
        guard errno == 0 else { return connectFailed(.connectFailed(errno: errno)) }
        guard let downstream, let route else { return }
        if upstream.security != .plain {
            report.attemptSecured(upstream.security, overHTTP2: upstream.hasStream)
        }
        // What is said before a request is no answer to it (RFC 9112 §6.3).
        if !upstream.isQuiet, upstream.peek() == .bytes { return fail(.unaskedResponse) }
        sendRequest(downstream, upstream, route, headIsParsed: false)
    }

    /// Nothing has been sent, so another address may be tried, once.
    func connectFailed(_ error: ProxyError) {
        guard let downstream, let route else { return }
        if error.isUpstreamFault { noteUpstreamFault(error) }
        dropUpstream(error)
        guard error.isUpstreamFault, !flags.contains(.triedOther), let target = route.upstream, target.addressCount > 1
        else {
            if !retryConnect(error, for: downstream) { reply(error, to: downstream) }
            return
        }
        flags.insert(.triedOther)
        attempt += 1
        acquire(for: downstream, route: route, headIsParsed: false)
    }

    // MARK: Head

    private func sendRequest(
        _ downstream: DownstreamConnection, _ upstream: UpstreamConnection, _ route: RouteContext, headIsParsed: Bool
    ) {
        if !headIsParsed {
            // Another exchange has used the worker's table since; the head lies unchanged at the front.
            guard worker.reparse(downstream.input, from: downstream) else { return fail(.outOfBuffers) }
        }
        let outcome = passHead(downstream, upstream, route)
        switch outcome {
        case .taken, .failed: break
        case .noMemory: return fail(.outOfBuffers)
        case .tooLarge: return fail(.headTooLarge)
        }
        flags.insert(.requestBegun)
        requestRelay = BodyRelay(
            head.framing, streamGoesOn: goesOn(downstream.lentStream), to: requestSink(upstream))
        downstream.retainedCount = Int(head.length)
        if flags.contains(.isGRPC), attempt == 0 {
            noteReceived(request: downstream.input.count - downstream.retainedCount, in: downstream.input)
        }
        if head.framing != .none {
            bodyWatch = BodyWatch()
            flags.remove(.bodyTimed)
        }
        if triesLeft > 0 || upstream.mayLoseRace && !flags.contains(.raceLost) {
            flags.insert(.replayable)
        } else {
            releaseRetained(downstream)
        }
        guard outcome == .taken else { return requestRefused(downstream, upstream) }
        if head.expectsContinue { sendContinue(downstream) }
        relayRequest(downstream, upstream)
    }

    /// The upstream takes no more; an early response, such as 413, may lie before the reset that stopped us.
    private func requestRefused(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) {
        flags.insert(.requestBlocked)
        upstream.assumeReadable()
        relayResponse(downstream, upstream)
    }

    private func requestSink(_ upstream: UpstreamConnection) -> BodyRelay.Sink {
        if upstream.hasStream { return .stream }
        return head.framing == .chunked || head.framing == .untilClose ? .chunks : .plain
    }

    /// To the upstream's output, or to its stream at once.
    private func passHead(
        _ downstream: DownstreamConnection, _ upstream: UpstreamConnection, _ route: RouteContext
    ) -> HeadOutcome {
        if let stream = upstream.lentStream {
            return stream.use {
                $0.sendHead {
                    writeHead(downstream, from: downstream.input, toStream: true, route: route, lines: &$1, into: &$0)
                }
            }
        }
        let fits = upstream.output.append {
            var lines = SentLines()
            return writeHead(
                downstream, from: downstream.input, toStream: false, route: route, lines: &lines, into: &$0)
        }
        guard let fits else { return .noMemory }
        return fits ? .taken : .tooLarge
    }

    /// - Returns: whether it had room.
    private func writeHead(
        _ downstream: DownstreamConnection, from input: borrowing Buffer, toStream: Bool, route: RouteContext,
        lines: inout SentLines, into out: inout OutputSpan<UInt8>
    ) -> Bool {
        let listener = downstream.listener
        let needed =
            Int(head.length) + RequestWriter.addedByteCount + route.addedByteCount
            + (worker.traceState.isEmpty ? 0 : TraceState.maximumByteCount)
            + (downstream.security?.certificateElement.count ?? 0)
        guard out.freeCapacity >= needed else { return false }
        RequestWriter.write(
            input.readable, head: head, fields: worker.fields, route: route, downstream: downstream,
            toStream: toStream, listener: listener, trace: report.sentContext, requestID: requestID,
            traceState: worker.traceState, lines: &lines, into: &out)
        return true
    }

    /// `Expect: 100-continue` is answered here: the body is wanted, the upstream is not asked (RFC 9110 §10.1.1).
    private func sendContinue(_ downstream: DownstreamConnection) {
        guard !flags.contains(.continueSent), downstream.output.isEmpty else { return }
        flags.insert(.continueSent)
        guard downstream.input.count == downstream.retainedCount else { return }  // the body is already here
        _ = downstream.output.append { $0.write("HTTP/1.1 100 Continue\r\n\r\n") }
        _ = downstream.flush(&downstream.output)
    }

    /// What was kept for a replay is not needed any more.
    func releaseRetained(_ downstream: DownstreamConnection) {
        flags.remove(.replayable)
        downstream.input.consume(downstream.retainedCount)
        downstream.retainedCount = 0
    }

    // MARK: Body

    /// Whether more than a head comes from it.
    func goesOn(_ stream: Lent<HTTP2Stream>?) -> Bool { stream.map { !$0.use(\.endedWithHead) } ?? false }

    /// Sends what there is of the request; also one direction of a tunnel.
    func relayRequest(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) {
        guard !flags.contains(.requestSent) else { return }
        for _ in 0..<Self.turnLimit {
            let outcome = Pump.run(
                &requestRelay, from: &downstream.input, skipping: &downstream.retainedCount,
                retains: flags.contains(.replayable), through: &upstream.output, to: upstream)
            switch outcome {
            case .finished: return requestEnded(downstream, upstream)
            case .blocked: return requestBlocked(downstream, upstream)
            case .malformed(let error): return fail(.malformedRequest(error))
            case .outOfBuffers: return fail(.outOfBuffers)
            case .sinkFailed where flags.contains(.isTunnel):
                // The upstream takes nothing more; what it has sent goes on.
                flags.insert(.requestSent)
                if responseRelay.isComplete { return responseEnded(downstream, upstream) }
                upstream.assumeReadable()
                return relayResponse(downstream, upstream)
            case .sinkFailed(let tookBytes):
                if tookBytes { flags.insert(.requestLeft) }
                return requestRefused(downstream, upstream)
            case .needsSource: guard receiveRequest(downstream, upstream) else { return }
            }
        }
        downstream.resumeSoon()
    }

    /// Reads more of the request; `false` when it must be waited for or has ended.
    private func receiveRequest(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) -> Bool {
        flags.insert(.requestLeft)
        let limit = downstream.listener.bodyLimit
        if limit > 0, requestRelay.byteCount > limit, !flags.contains(.isTunnel) {
            fail(.bodyTooLarge)
            return false
        }
        // To EAGAIN, whatever mayRead says: a reset that came with the last bytes raised no event of its own.
        switch downstream.receive(into: &downstream.input) {
        case .bytes(let count):
            if flags.contains(.isGRPC) { noteReceived(request: count, in: downstream.input) }
            return true
        case .wouldBlock: awaitRequestBody(downstream, upstream)
        case .full where flags.contains(.replayable):
            releaseRetained(downstream)
            return true
        case .full: fail(.outOfBuffers)
        case .endOfStream where flags.contains(.isTunnel):
            tunnelSideEnded(downstream, upstream, sourceIsDownstream: true)
        case .endOfStream:
            if requestStreamEnded(downstream, upstream) { return true }
            abort(.downstreamGone)
        case .failed: abort(.downstreamGone)
        }
        return false
    }

    /// - Returns: whether that was the end of a whole body.
    private func requestStreamEnded(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) -> Bool {
        var isWhole = false
        downstream.stream?.readTrailers { lines in
            isWhole = requestRelay.sourceClosed(trailers: lines, into: &upstream.output) { upstream.sendTrailers($0) }
        }
        return isWhole
    }

    private func requestBlocked(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) {
        flags.formUnion([.requestLeft, .requestBlocked])
        guard !flags.contains(.isTunnel) else { return }
        flags.remove(.bodyTimed)
        downstream.setDeadline(withinDue: nil)
        upstream.setDeadline(milliseconds: idleMilliseconds)
    }

    private func awaitRequestBody(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) {
        flags.remove(.requestBlocked)
        downstream.input.releaseIfEmpty()
        upstream.output.releaseIfEmpty()
        guard !flags.contains(.isTunnel) else { return renewTunnel(downstream, upstream) }
        setBodyDeadline(downstream)
        if !flags.contains(.responseBegun) { upstream.setDeadline(milliseconds: nil) }
    }

    /// With a rate to keep, a step that runs is left alone: the watch looks at what came in it.
    private func setBodyDeadline(_ downstream: DownstreamConnection) {
        let timeouts = downstream.listener.timeouts
        let idle = timeouts.requestBodyIdleMilliseconds
        // A caller may have nothing to say for a long time.
        guard !flags.contains(.isGRPC) else { return downstream.setDeadline(withinDue: idleMilliseconds) }
        guard timeouts.requestBodyRate > 0 else { return downstream.setDeadline(withinDue: idle) }
        guard !flags.contains(.bodyTimed) else { return }
        flags.insert(.bodyTimed)
        downstream.setDeadline(withinDue: BodyWatch.stepMilliseconds(idle: idle))
    }

    /// A step of the body's watch has passed.
    func bodyStepPassed(_ downstream: DownstreamConnection) -> BodyWatch.Verdict {
        flags.remove(.bodyTimed)
        // A replay connects: nobody waits for the caller.
        guard flags.contains(.requestBegun), !flags.contains(.requestSent) else { return .goesOn }
        let timeouts = downstream.listener.timeouts
        let verdict = bodyWatch.judge(
            byteCount: requestRelay.byteCount, bytesPerSecond: timeouts.requestBodyRate,
            idleMilliseconds: timeouts.requestBodyIdleMilliseconds)
        if verdict == .goesOn { setBodyDeadline(downstream) }
        return verdict
    }

    private func requestEnded(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) {
        flags.formUnion([.requestSent, .requestLeft])
        flags.subtract([.requestBlocked, .bodyTimed])
        upstream.output.release()
        if upstream.hasStream { upstream.shutdownWrite() }
        // While the response waits for the downstream to read, that deadline is the only one.
        if head.framing != .none, !flags.contains(.responseBlocked) { downstream.setDeadline(withinDue: nil) }
        if !flags.contains(.responseBegun), let routed {
            upstream.setDeadline(milliseconds: routed.use { responseMilliseconds($0) })
        }
        // Bytes that came while the request went out have raised their event already.
        if upstream.mayRead { relayResponse(downstream, upstream) }
    }
}
