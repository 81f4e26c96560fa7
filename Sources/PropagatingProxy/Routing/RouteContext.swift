// SPDX-License-Identifier: Apache-2.0
import Propagation

/// What one worker does with a request that matched one route. Constant after the configuration is loaded.
final class RouteContext {
    /// Number in the configuration counted over all listeners, from 1; 0 is none, for span records.
    let number: UInt16
    /// `nil` for a route that answers by itself.
    let upstream: Upstream?
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
    init(
        _ route: Configuration.Route, number: UInt16, upstreams: [Upstream], _ configuration: Configuration
    ) {
        self.number = number
        sampling = route.sampling
        fixedReply = route.reply
        retry = route.retry
        switch route.rewrite {
        case .none: (pathReplacement, replacesWholePath, replacedPrefixCount) = ([], false, 0)
        case .path(let text): (pathReplacement, replacesWholePath, replacedPrefixCount) = (text, true, 0)
        case .prefix(let count, let text):
            (pathReplacement, replacesWholePath, replacedPrefixCount) = (text, false, count)
        }
        if let index = route.upstream, upstreams.indices.contains(index) {
            let target = configuration.upstreams[index]  // bounded: one upstream for each of the configuration
            upstream = upstreams[index]
            responseMilliseconds = route.responseMilliseconds ?? upstreams[index].settings.responseMilliseconds
            stickyKey = upstreams[index].stickyKey
            upstreamAuthority = target.authority
            let rewritesHost = route.hostReplacement.isEmpty && target.host == .rewrite
            hostReplacement = rewritesHost ? target.authority : route.hostReplacement
        } else {
            upstream = nil
            responseMilliseconds = route.responseMilliseconds
            stickyKey = nil
            upstreamAuthority = []
            hostReplacement = route.hostReplacement
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
