// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// Waiting for the upstream's bounds to let one more request in.
extension Exchange {
    /// Takes its place in the queue, or is answered 503 at once.
    func waitForConnection(_ downstream: DownstreamConnection, _ target: Upstream) {
        guard hasCaller(downstream) else { return abort(.downstreamGone) }
        guard target.capacity.enqueue(self) else {
            worker.metrics.pending(target.number, .overflow)
            return fail(.upstreamOverflow)
        }
        flags.insert(.isPending)
        worker.metrics.waiting(target.number, target.capacity.waitingCount)
        downstream.setDeadline(withinDue: target.settings.pendingMilliseconds)
    }

    /// Whether the caller is still there, asked before a wait that nothing else might end: a reset that was read
    /// together with the request raises no event of its own.
    func hasCaller(_ downstream: DownstreamConnection) -> Bool { downstream.takeError() == 0 }

    /// Its turn has come; it is in the queue no more.
    func connectionMayBeHad() {
        flags.remove(.isPending)
        guard let downstream, let route, let target = route.upstream else { return }
        noteLeft(target, .served)
        downstream.setDeadline(withinDue: nil)
        acquire(for: downstream, route: route, headIsParsed: false)
    }

    /// It has waited for as long as it may.
    func pendingTimedOut() {
        leavePending(.timedOut)
        fail(.upstreamOverflow)
    }

    /// Out of the queue before its turn.
    func leavePending(_ outcome: PendingOutcome) {
        flags.remove(.isPending)
        guard let target = route?.upstream else { return }
        target.capacity.leave(self)
        noteLeft(target, outcome)
    }

    private func noteLeft(_ target: Upstream, _ outcome: PendingOutcome) {
        worker.metrics.pending(target.number, outcome)
        worker.metrics.waiting(target.number, target.capacity.waitingCount)
    }
}
