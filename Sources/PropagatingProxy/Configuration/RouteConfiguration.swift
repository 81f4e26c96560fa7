// SPDX-License-Identifier: Apache-2.0
import Propagation

extension Configuration {
    /// Which requests, and what becomes of them. Has an upstream or a reply of its own, never both.
    struct Route: Sendable {
        var name: String
        var match: Match
        var rewrite: PathRewrite
        /// Sent upstream instead of the received Host; empty keeps it.
        var hostReplacement: [UInt8]
        /// Index into ``Configuration/upstreams``; `nil` if `reply` is set.
        var upstream: Int?
        var sampling: SamplingRule
        var reply: FixedReply?
        /// Overrides the upstream's own, from the whole request sent to the response head.
        var responseMilliseconds: Int?
        var retry: RetryPolicy?

        var action: RouteAction {
            RouteAction(
                rewrite: rewrite, hostReplacement: hostReplacement, upstream: upstream, sampling: sampling,
                reply: reply,
                responseMilliseconds: responseMilliseconds, retry: retry)
        }
    }

    /// What becomes of a route's requests, whichever they are: a ``Route`` without its name and match.
    struct RouteAction: Hashable {
        let rewrite: PathRewrite
        let hostReplacement: [UInt8]
        let upstream: Int?
        let sampling: SamplingRule
        let reply: FixedReply?
        let responseMilliseconds: Int?
        let retry: RetryPolicy?
    }

    /// All conditions must hold.
    struct Match: Sendable, Equatable {
        var host: HostMatch?
        var path: PathMatch
        /// Empty: every method. Case-sensitive (RFC 9110 §9.1).
        var methods: [[UInt8]]
        var headers: [HeaderMatch]

        init(
            host: HostMatch? = nil, path: PathMatch = .prefix([UInt8(ascii: "/")]), methods: [[UInt8]] = [],
            headers: [HeaderMatch] = []
        ) {
            self.host = host
            self.path = path
            self.methods = methods
            self.headers = headers
        }
    }

    /// Lower case and without port; a request's host is compared likewise.
    enum HostMatch: Sendable, Equatable {
        case exact([UInt8])
        /// `.example.com`, of the pattern `*.example.com`: at least one more label stands before it.
        case suffix([UInt8])
    }

    /// Compared to the received path without its query, byte by byte: nothing is decoded.
    enum PathMatch: Sendable, Equatable {
        case exact([UInt8])
        /// Plain text, not whole segments: `/api` matches `/apis`.
        case prefix([UInt8])
        /// POSIX extended, matching the whole path.
        case regex(String)

        var isExact: Bool { if case .exact = self { true } else { false } }
    }

    struct HeaderMatch: Sendable, Equatable {
        /// Lower case.
        var name: [UInt8]
        var condition: HeaderCondition
    }

    enum HeaderCondition: Sendable, Equatable {
        case present
        case value([UInt8])
        case prefix([UInt8])
    }

    /// How a route changes the path; the query always stays.
    enum PathRewrite: Sendable, Hashable {
        case none
        case path([UInt8])
        /// The first `count` bytes, which matched, become the text.
        case prefix(count: Int, [UInt8])
    }

    /// A response of the configuration's own.
    struct FixedReply: Sendable, Hashable {
        var status: UInt16
        var body: [UInt8]
    }
}
