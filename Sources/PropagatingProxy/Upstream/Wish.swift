// SPDX-License-Identifier: Apache-2.0
import TLS

/// What an attempt asks of its upstream.
struct Wish: BitwiseCopyable {
    /// Only a new connection will do, for a replay.
    var isFresh = false
    /// Of the value that ties a request to an endpoint, where `balance` hashes; 0: none.
    var hash: UInt64 = 0
    /// The endpoint just tried; another one is taken if there is one.
    var avoids = EndpointID.none
}

/// Names one ``EndpointPool`` for as long as its upstream lives; never used again for another.
struct EndpointID: BitwiseCopyable, Equatable {
    static let none = EndpointID(number: 0)
    let number: UInt32
}

/// How one attempt at an endpoint ended.
enum AttemptOutcome: BitwiseCopyable, Equatable {
    /// With a whole response, or one this proxy did not pass on to try again.
    case answered(status: UInt16)
    case connectFailed
    /// A connection that stood gave no whole or no valid response.
    case reset
    case timedOut
    /// Nobody waited for the response, or the endpoint is not to blame.
    case unanswered

    init(_ error: ProxyError) {
        self =
            switch error {
            case .connectFailed, .connectTimedOut: .connectFailed
            case .tlsFailed(let failure): failure == .outOfMemory ? .unanswered : .connectFailed
            case .upstreamClosed, .malformedResponse, .unexpectedUpgrade, .tooManyInterimResponses,
                .responseTruncated, .unaskedResponse:
                .reset
            case .responseTimedOut: .timedOut
            default: .unanswered
            }
    }
}
