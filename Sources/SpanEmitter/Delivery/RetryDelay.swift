// SPDX-License-Identifier: Apache-2.0

/// How long an exporter waits before it tries a failed post again: doubled with each failure in a row, up to a limit by
/// cause, with up to half of it taken off at random, so that a fleet does not come back in step.
struct RetryDelay {
    enum Cause {
        /// No connection: nothing was sent and nobody was burdened.
        case unreachable
        /// 408 or 5xx, a post cut off or timed out, a name without an address.
        case broken
        /// 429: the collector lives, and wants less.
        case busy
    }

    private let first: Int
    private let flushInterval: Int

    init(_ configuration: ExporterConfiguration) {
        first = configuration.firstRetryMilliseconds
        flushInterval = configuration.flushIntervalMilliseconds
    }

    /// From half the delay to the whole.
    func milliseconds(after failuresInRow: Int, _ cause: Cause) -> ClosedRange<Int> {
        let limit =
            switch cause {
            case .unreachable: max(first, flushInterval)
            case .broken: 5000
            case .busy: 60_000
            }
        let full = min(first << min(failuresInRow, 16), limit)
        return full / 2...full
    }
}
