// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import HTTP2

/// An exchange's way back: interim heads, the final head, the body.
extension Exchange {
    /// Passes on what there is of the response; also one direction of a tunnel.
    func relayResponse(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) {
        for _ in 0..<Self.turnLimit {
            if !flags.contains(.responseBegun) {
                guard readHead(downstream, upstream) else { return }
                guard hasPassedWhole(downstream) else { continue }
                return responseEnded(downstream, upstream)
            }
            var skipped = 0
            let outcome = Pump.run(
                &responseRelay, from: &upstream.input, skipping: &skipped, retains: false,
                through: &downstream.output, to: downstream)
            switch outcome {
            case .finished where flags.contains(.isTunnel):
                // The other direction may go on until it ends too, or the connection breaks.
                guard upstream.takeError() != 0 else { return }
                return responseEnded(downstream, upstream)
            case .finished: return responseEnded(downstream, upstream)
            case .blocked: return responseBlocked(downstream, upstream)
            case .malformed(let error): return fail(.malformedResponse(error))
            case .sinkFailed: return abort(.downstreamGone)
            case .outOfBuffers: return fail(.outOfBuffers)
            case .needsSource: guard receiveResponse(downstream, upstream) else { return }
            }
        }
        upstream.resumeSoon()
    }

    /// Whether a response has gone to the kernel with its head, as most do.
    private func hasPassedWhole(_ downstream: DownstreamConnection) -> Bool {
        flags.contains(.responseBegun) && responseRelay.isComplete && downstream.output.isEmpty
            && !flags.contains(.isTunnel)
    }

    /// Reads more of the response; `false` when it must be waited for or has ended.
    private func receiveResponse(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) -> Bool {
        // A reset that came with the last bytes raised no event of its own: a response that has begun is read to EAGAIN.
        guard upstream.mayRead || responseSeenCount > 0 || flags.contains(.responseBegun) else {
            awaitResponse(downstream, upstream)
            return false
        }
        switch upstream.receive(into: &upstream.input) {
        case .bytes(let count):
            if flags.isSuperset(of: [.isGRPC, .responseBegun]) { noteReceived(response: count, in: upstream.input) }
            return true
        case .wouldBlock: awaitResponse(downstream, upstream)
        case .full: fail(upstream.input.isFull ? .malformedResponse(.headTooLarge) : .outOfBuffers)
        case .failed: upstreamClosed(downstream, upstream, isReset: true)
        case .endOfStream: upstreamClosed(downstream, upstream, isReset: false)
        }
        return false
    }

    private func awaitResponse(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) {
        flags.remove(.responseBlocked)
        upstream.input.releaseIfEmpty()
        downstream.output.releaseIfEmpty()
        if flags.contains(.isTunnel) { return renewTunnel(downstream, upstream) }
        guard flags.contains(.responseBegun) else { return }  // the response deadline runs
        upstream.setDeadline(milliseconds: idleMilliseconds)
        if flags.contains(.requestSent) { downstream.setDeadline(withinDue: nil) }
    }

    private func responseBlocked(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) {
        flags.insert(.responseBlocked)
        flags.remove(.bodyTimed)
        guard !flags.contains(.isTunnel) else { return }
        upstream.setDeadline(milliseconds: nil)
        downstream.setDeadline(withinDue: idleMilliseconds)
    }

    // MARK: Head

    /// - Returns: whether to go on: a final head has been passed on, an interim one taken, or bytes were read.
    private func readHead(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) -> Bool {
        if upstream.input.count > responseSeenCount {
            if flags.contains(.replayable), triesLeft == 0 { releaseRetained(downstream) }
            do throws(SyntaxError) {
                let limits = downstream.listener.responseLimits
                if let stream = upstream.lentStream, stream.use(\.hasLines) {
                    return take(try readHead(upstream.input, of: stream, limits: limits).get(), downstream, upstream)
                }
                let progress = try parseHead(upstream.input, limits: limits)
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
            input.readable, alreadySeen: responseSeenCount, requestMethod: head.method, limits: limits,
            fields: &worker.fields)
    }

    /// A stream's head comes with its lines.
    private func readHead(
        _ input: borrowing Buffer, of stream: Lent<HTTP2Stream>, limits: HeadLimits
    ) -> Result<ResponseHead, SyntaxError> {
        stream.use { stream in
            defer { stream.forgetLines() }
            return Result { () throws(SyntaxError) in
                try readResponseHead(
                    input.readable, lines: stream.lines, requestMethod: head.method, limits: limits,
                    fields: &worker.fields)
            }
        }
    }

    private func take(
        _ received: ResponseHead, _ downstream: DownstreamConnection, _ upstream: UpstreamConnection
    ) -> Bool {
        guard let stream = upstream.lentStream, stream.use(\.endedWithHead) else {
            return takeSettled(received, downstream, upstream)
        }
        var response = received
        response.endWithHead(saysLength: !downstream.hasStream)
        return takeSettled(response, downstream, upstream)
    }

    /// How far the body reaches is known.
    private func takeSettled(
        _ response: ResponseHead, _ downstream: DownstreamConnection, _ upstream: UpstreamConnection
    ) -> Bool {
        if triesLeft > 0 || flags.contains(.replayable) {
            if response.status >= 200, retryInstead(of: response, downstream, upstream) { return false }
            releaseRetained(downstream)
        }
        if response.status < 200 {
            return response.status == 101
                ? takeUpgrade(response, downstream, upstream) : takeInterim(response, downstream, upstream)
        }
        var changes = ResponseWriter.Changes()
        let toStream = downstream.hasStream
        if !toStream, response.framing == .untilClose || response.framing == .chunked {
            // An HTTP/1.0 downstream knows no chunks: the end of its body is the end of the connection.
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
        if flags.contains(.isGRPC) {
            noteCallHead(upstream.input)
            noteReceived(response: upstream.input.count - Int(response.length), in: upstream.input)
        }
        responseRelay = BodyRelay(
            response.framing, streamGoesOn: goesOn(upstream.lentStream) && !isAtHand(upstream),
            to: toStream ? .stream : changes.writesChunks ? .chunks : .plain)
        return passHead(response, changes, downstream, upstream)
    }

    /// Whether the response has been taken to its end, with no trailers behind it: that end need not be read by itself.
    private func isAtHand(_ upstream: UpstreamConnection) -> Bool {
        guard !flags.contains(.isGRPC), let stream = upstream.lentStream else { return false }
        return stream.use(\.isTakenWhole)
    }

    private func takeInterim(
        _ response: ResponseHead, _ downstream: DownstreamConnection, _ upstream: UpstreamConnection
    ) -> Bool {
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
        if case .failed = downstream.flush(&downstream.output) {
            abort(.downstreamGone)
            return false
        }
        return true  // what the kernel did not take goes with the next head
    }

    private func takeUpgrade(
        _ response: ResponseHead, _ downstream: DownstreamConnection, _ upstream: UpstreamConnection
    ) -> Bool {
        // A websocket handshake is the only upgrade the request parser lets through.
        guard !head.upgrade.isEmpty, names("websocket", in: upstream.input, response.upgrade) else {
            fail(.unexpectedUpgrade)
            return false
        }
        report.responseBegan(101)
        flags.insert(.isTunnel)
        flags.subtract([.keepsAlive, .requestSent])
        responseRelay = .tunnel
        requestRelay = .tunnel
        renewTunnel(downstream, upstream)
        var changes = ResponseWriter.Changes()
        changes.upgrades = true
        guard passHead(response, changes, downstream, upstream) else { return false }
        // Bytes behind the request head were held until now (RFC 9110 §7.8).
        if downstream.mayRead || !downstream.input.isEmpty { downstream.resumeSoon() }
        return true
    }

    private func names(_ token: String, in input: borrowing Buffer, _ range: ByteRange) -> Bool {
        lowercasedEquals(input.readable.extracting(range.range), token)
    }

    // MARK: Passing the head on

    private func passHead(
        _ response: ResponseHead, _ changes: ResponseWriter.Changes, _ downstream: DownstreamConnection,
        _ upstream: UpstreamConnection
    ) -> Bool {
        if let stream = downstream.lentStream, downstream.output.isEmpty {
            return passHead(response, addsVia: changes.addsVia, to: stream, upstream)
        }
        if ResponseWriter.canPassOn(response, changes), downstream.output.isEmpty,
            let count = responseRelay.verbatimCount(of: upstream.input.count - Int(response.length))
        {
            // The usual case: head and body at hand leave in one call, uncopied.
            flags.insert(.responseBegun)
            return sendVerbatim(headCount: Int(response.length), bodyCount: count, downstream, upstream)
        }
        guard writeHead(response, changes, downstream, upstream) else { return false }
        flags.insert(.responseBegun)
        return true
    }

    /// A stream takes the head at once; the body follows.
    private func passHead(
        _ response: ResponseHead, addsVia: Bool, to stream: Lent<HTTP2Stream>, _ upstream: UpstreamConnection
    ) -> Bool {
        let outcome = stream.use {
            $0.sendHead { out, lines in
                writeHead(response, addsVia: addsVia, from: upstream.input, lines: &lines, into: &out)
            }
        }
        switch outcome {
        case .taken: break
        case .tooLarge: fail(.malformedResponse(.headTooLarge))
        case .noMemory: fail(.outOfBuffers)
        case .failed: abort(.downstreamGone)
        }
        guard outcome == .taken else { return false }
        upstream.input.consume(Int(response.length))
        flags.insert(.responseBegun)
        return true
    }

    private func writeHead(
        _ response: ResponseHead, addsVia: Bool, from input: borrowing Buffer, lines: inout SentLines,
        into out: inout OutputSpan<UInt8>
    ) -> Bool {
        guard out.freeCapacity >= Int(response.length) + ResponseWriter.addedByteCount else { return false }
        ResponseWriter.write(
            input.readable, head: response, fields: worker.fields, addsVia: addsVia, lines: &lines, toStream: &out)
        return true
    }

    private func sendVerbatim(
        headCount: Int, bodyCount: Int, _ downstream: DownstreamConnection, _ upstream: UpstreamConnection
    ) -> Bool {
        let sent: Int
        switch downstream.send(upstream.input.readable.extracting(first: headCount + bodyCount)) {
        case .sent(let taken): sent = taken
        case .wouldBlock: sent = 0
        case .failed:
            abort(.downstreamGone)
            return false
        }
        if sent < headCount {
            // The kernel stopped inside the head: its rest goes through the output buffer.
            let left = headCount - sent
            // bounded: sent is below headCount, which the head has
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

    /// Writes a changed head to the downstream's output.
    private func writeHead(
        _ response: ResponseHead, _ changes: ResponseWriter.Changes, _ downstream: DownstreamConnection,
        _ upstream: UpstreamConnection
    ) -> Bool {
        guard let fits = writeHead(response, changes, from: upstream.input, to: &downstream.output) else {
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

    // MARK: The upstream ends

    private func upstreamClosed(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection, isReset: Bool) {
        if flags.contains(.isTunnel) {
            if isReset { return abort(.upstreamClosed) }
            return tunnelSideEnded(downstream, upstream, sourceIsDownstream: false)
        }
        guard flags.contains(.responseBegun) else { return upstreamFailed(downstream, upstream) }
        guard !isReset, responseSourceClosed(downstream, upstream) else { return fail(.responseTruncated) }
        flags.remove(.reusesUpstream)
        relayResponse(downstream, upstream)
    }

    private func responseSourceClosed(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) -> Bool {
        guard let stream = upstream.lentStream, flags.contains(.isGRPC) || stream.use(\.hasTrailers) else {
            return responseRelay.sourceClosed(into: &downstream.output)
        }
        var isWhole = false
        stream.use {
            $0.readTrailers { lines in
                if flags.contains(.isGRPC) { call.noteTrailers(lines) }
                isWhole = responseRelay.sourceClosed(trailers: lines, into: &downstream.output) {
                    downstream.sendTrailers($0)
                }
            }
        }
        return isWhole
    }

    private func upstreamFailed(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) {
        if let refusal = upstream.refusal { return retryOrFail(.connectFailure, .tlsFailed(refusal)) }
        if upstream.useCount > 0, upstream.input.isEmpty, !upstream.hasStream {
            worker.metrics.distrusted(upstream.pool.distrust(olderThan: upstream))
        }
        guard hasLostRace(upstream), let route else { return retryOrFail(.reset, .upstreamClosed) }
        worker.metrics.replayed()
        flags.insert(.raceLost)
        dropUpstream(.upstreamClosed, outcome: .unanswered)  // an idle connection may close at any time
        rewind(downstream)
        wish.isFresh = true
        wish.avoids = .none
        acquire(for: downstream, route: route, headIsParsed: false)
    }

    /// The peer of an idle connection may have closed it just as we wrote. A replay is safe when no response byte has
    /// come and the method is idempotent, or the kernel took no byte of the request; once, on a connection of
    /// our own making (RFC 9112 §9.3.1).
    private func hasLostRace(_ upstream: UpstreamConnection) -> Bool {
        guard upstream.mayLoseRace, flags.contains(.replayable), !flags.contains(.raceLost) else { return false }
        guard upstream.input.isEmpty, interimCount == 0 else { return false }
        if let stream = upstream.stream { return stream.isUnprocessed }
        return head.method.isIdempotent || !flags.contains(.requestLeft)
    }
}
