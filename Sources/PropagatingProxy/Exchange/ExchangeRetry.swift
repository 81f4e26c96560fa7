// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1

/// Another try, where the route's ``RetryPolicy`` asks for one: after a wait, within the budget, on another endpoint
/// if there is one, and never once a byte of a response has gone downstream.
extension Exchange {
    /// A try has failed. Another one follows if it may; else the error is the exchange's.
    func retryOrFail(_ cause: RetryPolicy.Cause, _ error: ProxyError) {
        guard let downstream, let wait = waitForRetry(after: cause) else { return fail(error) }
        noteUpstreamFault(error)
        dropUpstream(error)
        tryAgain(downstream, afterMilliseconds: wait)
    }

    /// The connect failed, and its connection is gone already.
    ///
    /// - Returns: whether another try follows.
    func retryConnect(_ error: ProxyError, for downstream: DownstreamConnection) -> Bool {
        switch error {
        case .connectFailed, .connectTimedOut, .tlsFailed: break
        default: return false
        }
        guard let wait = waitForRetry(after: .connectFailure) else { return false }
        tryAgain(downstream, afterMilliseconds: wait)
        return true
    }

    /// A final response head has come and none of it has gone downstream. Its body is not waited for.
    ///
    /// - Returns: whether another try follows, the response forgotten.
    func retryInstead(
        of response: ResponseHead, _ downstream: DownstreamConnection, _ upstream: UpstreamConnection
    ) -> Bool {
        guard let wait = waitForRetry(after: .status(response.status)) else { return false }
        let isReusable = response.keepAlive && flags.contains(.requestSent) && takeWhole(response, from: upstream)
        self.upstream = nil
        upstream.pool.noteOutcome(.answered(status: response.status))
        report.endAttempt(status: response.status)
        if isReusable { upstream.pool.giveBack(upstream) } else { upstream.pool.close(upstream) }
        tryAgain(downstream, afterMilliseconds: wait)
        return true
    }

    /// The wait is over.
    func backOffEnded() {
        flags.remove(.backsOff)
        guard let downstream, let route else { return }
        acquire(for: downstream, route: route, headIsParsed: false)
    }

    /// How long the response may take: the route's own time, for all tries together, and no longer than one try may.
    func responseMilliseconds(_ route: RouteContext) -> Int? {
        guard let policy = route.retry, let whole = route.responseMilliseconds else {
            return route.responseMilliseconds
        }
        let now = Clock.monotonicMicroseconds
        if responseDue == 0 { responseDue = now + UInt64(whole) * 1000 }
        let left = responseDue > now ? Int((responseDue - now) / 1000) : 0
        return max(1, min(left, policy.perTryMilliseconds ?? left))
    }

    // MARK: How

    /// Milliseconds until the next try, which the budget then holds; `nil`, and a count of why, if there is none.
    private func waitForRetry(after cause: RetryPolicy.Cause) -> Int? {
        guard let route, let policy = route.retry, policy.covers(cause), let target = route.upstream else { return nil }
        let wait = policy.backOff.milliseconds(
            before: Int(policy.attempts) - Int(triesLeft) + 1, random: &worker.random)
        let outcome = verdict(policy, target, waiting: wait)
        worker.metrics.retry(target.number, outcome)
        return outcome == .retried ? wait : nil
    }

    private func verdict(_ policy: RetryPolicy, _ target: Upstream, waiting wait: Int) -> RetryOutcome {
        guard triesLeft > 0 else { return .exhausted }
        guard isReplayable(policy) else { return .notReplayable }
        if responseDue > 0, Clock.monotonicMicroseconds + UInt64(wait) * 1000 >= responseDue { return .noTime }
        guard worker.backOff.hasRoom else { return .overflow }
        return target.retryBudget.withdraw() ? .retried : .budget
    }

    /// Whether the request is still here as it came, and may be sent twice.
    private func isReplayable(_ policy: RetryPolicy) -> Bool {
        guard interimCount == 0 else { return false }
        guard flags.contains(.requestBegun) else { return true }
        let mayRepeat = head.method.isIdempotent || policy.repeatsNonIdempotent || !flags.contains(.requestLeft)
        return flags.contains(.replayable) && mayRepeat
    }

    /// - Returns: whether the whole body was at hand; then nothing of it is left.
    private func takeWhole(_ response: ResponseHead, from upstream: UpstreamConnection) -> Bool {
        let bodyCount: UInt64
        switch response.framing {
        case .none: bodyCount = 0
        case .length(let count): bodyCount = count
        case .chunked, .untilClose: return false
        }
        guard UInt64(upstream.input.count) == UInt64(response.length) + bodyCount else { return false }
        upstream.input.consume(upstream.input.count)
        return true
    }

    private func tryAgain(_ downstream: DownstreamConnection, afterMilliseconds wait: Int) {
        triesLeft -= 1
        rewind(downstream)
        guard hasCaller(downstream) else { return abort(.downstreamGone) }
        downstream.setDeadline(withinDue: nil)
        flags.insert(.backsOff)
        if !worker.backOff.add(self, milliseconds: wait) { backOffEnded() }
    }

    /// The next attempt begins with the first byte of the request, which stands at the front of the input.
    func rewind(_ downstream: DownstreamConnection) {
        flags.subtract([.replayable, .requestBegun, .requestSent, .requestLeft, .requestBlocked, .bodyTimed])
        downstream.retainedCount = 0
        responseSeenCount = 0
        attempt += 1
    }
}
