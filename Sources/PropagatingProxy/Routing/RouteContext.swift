// SPDX-License-Identifier: Apache-2.0
import Propagation

/// What one worker does with a request that matched one route. Constant after the configuration is loaded.
final class RouteContext {
    /// Number in the configuration counted over all listeners, from 1; 0 is none, for span records.
    let number: UInt16
    /// `nil` for a route that answers by itself.
    let upstream: Upstream?
    let sampling: SamplingRule
    /// Written instead of the first ``replacedPathCount(_:)`` bytes of the path; empty for none.
    let pathReplacement: [UInt8]
    private let replacesWholePath: Bool
    private let replacedPrefixCount: Int
    /// Written instead of the received Host; empty keeps it.
    let hostReplacement: [UInt8]
    /// The upstream's `host:port`, for requests that come without a Host.
    let upstreamAuthority: [UInt8]
    /// Overrides the upstream's own.
    private let ownResponseMilliseconds: Int?
    let fixedReply: FixedReply?

    init(
        number: UInt16, upstream: Upstream?, sampling: SamplingRule, rewrite: PathRewrite, hostReplacement: [UInt8],
        upstreamAuthority: [UInt8], responseMilliseconds: Int?, fixedReply: FixedReply?
    ) {
        self.number = number
        self.upstream = upstream
        self.sampling = sampling
        switch rewrite {
        case .none: (pathReplacement, replacesWholePath, replacedPrefixCount) = ([], false, 0)
        case .path(let text): (pathReplacement, replacesWholePath, replacedPrefixCount) = (text, true, 0)
        case .prefix(let count, let text): (pathReplacement, replacesWholePath, replacedPrefixCount) = (text, false, count)
        }
        self.hostReplacement = hostReplacement
        self.upstreamAuthority = upstreamAuthority
        ownResponseMilliseconds = responseMilliseconds
        self.fixedReply = fixedReply
    }

    /// From the whole request sent to the response head.
    var responseMilliseconds: Int? { ownResponseMilliseconds ?? upstream?.settings.responseMilliseconds }

    /// Bytes this route may add to a head.
    var addedByteCount: Int { pathReplacement.count + hostReplacement.count + upstreamAuthority.count }

    /// How many bytes of a received path, query included, ``pathReplacement`` stands for.
    func replacedPathCount(_ path: Span<UInt8>) -> Int {
        guard replacesWholePath else { return replacedPrefixCount }
        for index in 0..<path.count where path[index] == UInt8(ascii: "?") { return index }
        return path.count
    }
}

/// How a route changes the path; the query always stays.
enum PathRewrite: Equatable, Sendable {
    case none
    case path([UInt8])
    /// The first `count` bytes, which matched, become the text.
    case prefix(count: Int, [UInt8])
}

/// A response of the configuration's own.
struct FixedReply: Equatable, Sendable {
    var status: UInt16
    var body: [UInt8]
}
