// SPDX-License-Identifier: Apache-2.0

/// What became of a request that found its upstream's bounds reached.
enum PendingOutcome: Int, BitwiseCopyable, CaseIterable {
    /// It waited and got its turn.
    case served
    /// As many waited as may: 503 at once.
    case overflow
    /// It waited for too long: 503.
    case timedOut
    /// Its caller left, or this proxy stopped.
    case left

    var label: String {
        switch self {
        case .served: "served"
        case .overflow: "overflow"
        case .timedOut: "timeout"
        case .left: "left"
        }
    }
}
