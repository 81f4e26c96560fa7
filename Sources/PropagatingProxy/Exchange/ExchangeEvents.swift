// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// What the two connections of an exchange report, and the two directions of a tunnel.
extension Exchange {
    private static let tunnelIdleMilliseconds = 3_600_000
    /// For the other direction, once one has ended.
    private static let tunnelFarewellMilliseconds = 60_000

    func downstreamReadable(_ downstream: DownstreamConnection) {
        if flags.contains(.isTunnel) || (flags.contains(.requestBegun) && !flags.contains(.requestSent)) {
            guard let upstream, !flags.contains(.requestBlocked) else { return }
            return relayRequest(downstream, upstream)
        }
        // The request is complete or waits for its upstream: pipelined bytes stay where they are, and an
        // end of stream is only half a close; a reset means nobody waits for the response. libevent
        // reports one as readable and no more, and it may lie behind unread bytes.
        guard downstream.takeError() != 0 else { return }
        abort(.downstreamGone)
    }

    func downstreamWritable(_ downstream: DownstreamConnection) {
        flags.remove(.responseBlocked)  // else a turn that ends by its limit would never be resumed
        if flags.contains(.responseBegun), let upstream { return relayResponse(downstream, upstream) }
        if !downstream.output.isEmpty { _ = downstream.flush(&downstream.output) }
    }

    func upstreamReadable(_ upstream: UpstreamConnection) {
        guard let caller, !flags.contains(.responseBlocked) else { return }
        caller.use { relayResponse($0, upstream) }
    }

    func upstreamWritable(_ upstream: UpstreamConnection) {
        guard let downstream else { return }
        flags.remove(.requestBlocked)
        relayRequest(downstream, upstream)
    }

    /// - Parameter connect: what it means if the connection was still being made.
    func upstreamDeadlinePassed(connecting connect: ProxyError?) {
        if let connect { return connectFailed(connect) }
        if flags.contains(.responseBegun) { return fail(.responseTruncated) }
        retryOrFail(.reset, .responseTimedOut)
    }

    func downstreamDeadlinePassed(_ downstream: DownstreamConnection) {
        if downstream.isOverdue { return fail(.callOverdue) }
        if flags.contains(.isPending) { return pendingTimedOut() }
        var error = ProxyError.requestTimedOut
        if flags.contains(.bodyTimed) {
            switch bodyStepPassed(downstream) {
            case .goesOn: return
            case .idle: break
            case .tooSlow: error = .requestTooSlow
            }
        }
        if flags.contains(.responseBegun) { return abort(.downstreamGone) }
        fail(error)
    }

    /// The worker stops now.
    func abandon() { abort(.shuttingDown) }

    // MARK: Tunnel

    func renewTunnel(_ downstream: DownstreamConnection, _ upstream: UpstreamConnection) {
        downstream.setDeadline(withinDue: nil)
        let oneHasEnded = flags.contains(.requestSent) || responseRelay.isComplete
        upstream.setDeadline(
            milliseconds: oneHasEnded ? Self.tunnelFarewellMilliseconds : Self.tunnelIdleMilliseconds)
    }

    /// One direction of a tunnel has ended: the other side is told, and may go on.
    func tunnelSideEnded(
        _ downstream: DownstreamConnection, _ upstream: UpstreamConnection, sourceIsDownstream: Bool
    ) {
        if sourceIsDownstream {
            flags.insert(.requestSent)
            upstream.shutdownWrite()
        } else {
            _ = responseRelay.sourceClosed(into: &downstream.output)
            downstream.shutdownWrite()
        }
        if flags.contains(.requestSent), responseRelay.isComplete { return responseEnded(downstream, upstream) }
        renewTunnel(downstream, upstream)
    }
}
