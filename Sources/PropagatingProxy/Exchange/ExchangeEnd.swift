// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import HTTP2

/// How an exchange ends: whole, with a reply of our own, or cut.
extension Exchange {
    /// The response has gone to the kernel whole.
    func responseEnded(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) {
        let keepsAlive = flags.isSuperset(of: [.keepsAlive, .requestSent])
        // Bytes behind the response are no answer to anything we asked.
        let isReusable = flags.isSuperset(of: [.reusesUpstream, .requestSent]) && upstream.input.isEmpty
        reportCall()
        report.ended(requestBytes: requestRelay.byteCount, responseBytes: responseRelay.byteCount, worker: worker)
        upstream.pool.noteOutcome(.answered(status: report.responseStatus))
        if isReusable { upstream.pool.giveBack(upstream) } else { upstream.pool.close(upstream) }
        finish()
        downstream.exchangeEnded(keepsAlive: keepsAlive)
    }

    /// Before a response head has gone out, the downstream is told; afterwards it must see a cut.
    func fail(_ error: ProxyError) {
        guard let downstream else { return }
        if error.isUpstreamFault { noteUpstreamFault(error) }
        guard !flags.contains(.responseBegun), error.status != 0, !passesReset else { return abort(error) }
        dropUpstream(error)
        reply(error, to: downstream)
    }

    /// A gRPC caller reads the callee's reset as it would without this proxy.
    private var passesReset: Bool {
        guard flags.contains(.isGRPC), let stream = upstream?.stream else { return false }
        return stream.resetCode != nil && !stream.isUnprocessed
    }

    /// Cuts both connections: nobody is left to tell, or the response has begun.
    func abort(_ cause: ProxyError) {
        guard let downstream else { return }
        var (error, tellsStatus) = (cause, false)
        if flags.contains(.isGRPC) { (error, tellsStatus) = endCall(cause, downstream) }
        if let code = upstream?.stream?.resetCode { downstream.stream?.cutCode = code }
        dropUpstream(error)
        reportCall()
        report.aborted(error: error, worker: worker)
        finish()
        if tellsStatus { downstream.exchangeEnded(keepsAlive: false) } else { downstream.exchangeAborted() }
    }

    /// Ends the attempt on the upstream connection; its CLIENT span tells why.
    ///
    /// - Parameter outcome: for the endpoint, if the error is not the whole story.
    func dropUpstream(_ error: ProxyError, outcome: AttemptOutcome? = nil) {
        guard let connection = upstream else { return }
        upstream = nil
        connection.pool.noteOutcome(outcome ?? AttemptOutcome(error))
        reportCall()
        report.endAttempt(error: error, worker: worker)
        connection.pool.close(connection)
    }

    func noteUpstreamFault(_ error: ProxyError) {
        guard let target = route?.upstream else { return }
        worker.metrics.upstreamFailed(target.number, reason: error.labelIndex)
    }

    // MARK: Local replies

    func reply(_ error: ProxyError, to downstream: DownstreamConnection) {
        settleInput(downstream, mayKeepAlive: !error.breaksFraming)
        let closes = !flags.contains(.keepsAlive)
        let isCall = flags.contains(.isGRPC)
        _ = downstream.output.append {
            if isCall {
                return GRPCReply.writeHead(
                    error.grpcStatus, reason: error.reason, detail: error.detail, into: &$0)
            }
            LocalReply.write(
                status: error.status, reason: error.reason, detail: error.detail, isHead: head.method == .head,
                closes: closes, into: &$0)
        }
        worker.metrics.localReply(reason: error.labelIndex)
        if isCall {
            call.status = error.grpcStatus
            report.note(call)
        }
        report.answered(status: isCall ? 200 : error.status, error: error, worker: worker)
        endLocally(downstream)
    }

    func reply(_ fixed: Configuration.FixedReply, to downstream: DownstreamConnection) {
        settleInput(downstream, mayKeepAlive: true)
        let closes = !flags.contains(.keepsAlive)
        _ = downstream.output.append {
            let body = fixed.body
            LocalReply.write(
                status: fixed.status, body: body.span, isHead: head.method == .head, closes: closes, into: &$0)
        }
        report.answered(status: fixed.status, error: nil, worker: worker)
        endLocally(downstream)
    }

    /// Leaves the next request at the front of the input, if there can be one.
    private func settleInput(_ downstream: DownstreamConnection, mayKeepAlive: Bool) {
        let requestIsRead = head.framing == .none || flags.contains(.requestSent)
        if mayKeepAlive, requestIsRead, flags.contains(.keepsAlive) {
            downstream.input.consume(flags.contains(.requestBegun) ? downstream.retainedCount : Int(head.length))
        } else {
            flags.remove(.keepsAlive)
        }
        downstream.retainedCount = 0
    }

    /// A local reply is small: a peer whose socket takes none of it is not waited for.
    private func endLocally(_ downstream: DownstreamConnection) {
        let isWritten = !downstream.output.isEmpty  // not without a buffer
        let outcome = downstream.flush(&downstream.output)
        let keepsAlive = flags.contains(.keepsAlive)
        finish()
        guard isWritten, case .sent = outcome, downstream.output.isEmpty else { return downstream.exchangeAborted() }
        downstream.exchangeEnded(keepsAlive: keepsAlive)
    }

    private func waitNoLonger() {
        if flags.contains(.isPending) { leavePending(.left) } else { worker.backOff.remove(self) }
    }

    /// The downstream, which is told next, gives this object back to the pool.
    private func finish() {
        if !flags.isDisjoint(with: [.isPending, .backsOff]) { waitNoLonger() }
        caller = nil
        upstream = nil
        routed = nil
    }
}
