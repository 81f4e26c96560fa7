// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Propagation

/// The route a request matched.
struct MatchedRoute {
    /// The listener's.
    let context: Lent<RouteContext>
    /// In the configuration counted over all listeners, from 1; 0 is none, for span records.
    let number: UInt16
}

/// What one worker does with a request that matched a route. Constant after the configuration is loaded.
final class RouteContext {
    /// `nil` for a route that answers by itself.
    let upstream: Upstream?
    /// The same, for each request.
    let target: Lent<Upstream>?
    /// The upstream's; `nil` unless it balances by hash.
    let stickyKey: StickyKey?
    let sampling: SamplingRule
    /// Written instead of the first ``replacedPathCount(_:)`` bytes of the path; empty for none.
    let pathReplacement: [UInt8]
    private let replacesWholePath: Bool
    private let replacedPrefixCount: Int
    /// Written instead of the received Host; empty keeps it.
    let hostReplacement: [UInt8]
    /// The upstream's `host:port`, for requests that come without a Host.
    let upstreamAuthority: [UInt8]
    /// From the whole request sent to the response head.
    let responseMilliseconds: Int?
    let fixedReply: Configuration.FixedReply?
    /// `nil`: a request is sent again only where that is safe and due to us.
    let retry: RetryPolicy?

    /// - Parameter upstreams: one per upstream of the configuration, in order.
    init(_ action: Configuration.RouteAction, upstreams: [Upstream], _ configuration: Configuration) {
        sampling = action.sampling
        fixedReply = action.reply
        retry = action.retry
        switch action.rewrite {
        case .none: (pathReplacement, replacesWholePath, replacedPrefixCount) = ([], false, 0)
        case .path(let text): (pathReplacement, replacesWholePath, replacedPrefixCount) = (text, true, 0)
        case .prefix(let count, let text):
            (pathReplacement, replacesWholePath, replacedPrefixCount) = (text, false, count)
        }
        if let index = action.upstream, upstreams.indices.contains(index) {
            let target = configuration.upstreams[index]  // bounded: one upstream for each of the configuration
            upstream = upstreams[index]
            self.target = Lent(upstreams[index])
            responseMilliseconds = action.responseMilliseconds ?? upstreams[index].settings.responseMilliseconds
            stickyKey = upstreams[index].stickyKey
            upstreamAuthority = target.authority
            let rewritesHost = action.hostReplacement.isEmpty && target.host == .rewrite
            hostReplacement = rewritesHost ? target.authority : action.hostReplacement
        } else {
            upstream = nil
            target = nil
            responseMilliseconds = action.responseMilliseconds
            stickyKey = nil
            upstreamAuthority = []
            hostReplacement = action.hostReplacement
        }
    }

    /// Bytes this route may add to a head.
    var addedByteCount: Int { pathReplacement.count + hostReplacement.count + upstreamAuthority.count }

    /// How many bytes of a received path, query included, ``pathReplacement`` stands for.
    func replacedPathCount(_ path: Span<UInt8>) -> Int {
        guard replacesWholePath else { return replacedPrefixCount }
        for index in 0..<path.count where path[index] == UInt8(ascii: "?") { return index }
        return path.count
    }
}
