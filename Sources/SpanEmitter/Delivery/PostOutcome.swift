// SPDX-License-Identifier: Apache-2.0

/// How one post ended.
enum PostOutcome: Equatable {
    /// 2xx; OTLP may have refused some spans for good.
    case accepted(rejectedSpans: UInt64)
    /// Try the same again later, not before so many milliseconds if the collector said so.
    case retry(reason: String, afterMilliseconds: Int?)
    /// 413: try less.
    case tooLarge
    /// Will never be accepted.
    case refused(status: UInt16)

    /// - Parameter retryAfterMilliseconds: from Retry-After (RFC 9110 §10.2.3).
    init(status: UInt16, rejectedSpans: UInt64, retryAfterMilliseconds: Int?) {
        switch status {
        case 200..<300: self = .accepted(rejectedSpans: rejectedSpans)
        case 413: self = .tooLarge
        case 408, 429, 500...: self = .retry(reason: "status \(status)", afterMilliseconds: retryAfterMilliseconds)
        default: self = .refused(status: status)
        }
    }
}
