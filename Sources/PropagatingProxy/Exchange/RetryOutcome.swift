// SPDX-License-Identifier: Apache-2.0

/// What became of a failure that the route's ``RetryPolicy`` covers.
enum RetryOutcome: Int, BitwiseCopyable, CaseIterable {
    case retried
    /// All tries were made.
    case exhausted
    /// Too many retries for the requests there are: ``RetryBudget``.
    case budget
    /// The request has outgrown its buffer, may not be sent twice, or has been answered with an interim response.
    case notReplayable
    /// The response timeout would be over.
    case noTime
    /// Too many exchanges wait for a retry.
    case overflow

    var label: String {
        switch self {
        case .retried: "retried"
        case .exhausted: "exhausted"
        case .budget: "budget"
        case .notReplayable: "not_replayable"
        case .noTime: "no_time"
        case .overflow: "overflow"
        }
    }
}
