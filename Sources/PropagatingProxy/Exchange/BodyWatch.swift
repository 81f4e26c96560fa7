// SPDX-License-Identifier: Apache-2.0

/// Whether a request's body comes fast enough. Asked when the deadline of a step has passed and at no
/// other time, so that reading costs nothing; only steps in which the caller was waited for count.
struct BodyWatch: BitwiseCopyable {
    enum Verdict: BitwiseCopyable, Equatable {
        case goesOn
        /// No byte for the idle time.
        case idle
        /// Slower on average than the rate, after ``graceMilliseconds`` of waiting.
        case tooSlow
    }

    static let graceMilliseconds = 10_000
    private static let longestStepMilliseconds = 2500

    private var waitedMilliseconds = 0
    private var silentMilliseconds = 0
    private var seenByteCount: UInt64 = 0

    /// How long to wait before the next ``judge(byteCount:bytesPerSecond:idleMilliseconds:)``.
    static func stepMilliseconds(idle: Int) -> Int { min(idle, longestStepMilliseconds) }

    /// One step has passed.
    ///
    /// - Parameter byteCount: of the body, so far.
    mutating func judge(byteCount: UInt64, bytesPerSecond: Int, idleMilliseconds: Int) -> Verdict {
        let step = Self.stepMilliseconds(idle: idleMilliseconds)
        waitedMilliseconds += step
        silentMilliseconds = byteCount == seenByteCount ? silentMilliseconds + step : 0
        seenByteCount = byteCount
        if silentMilliseconds >= idleMilliseconds { return .idle }
        guard waitedMilliseconds >= Self.graceMilliseconds else { return .goesOn }
        let least = UInt64(bytesPerSecond) * UInt64(waitedMilliseconds) / 1000
        return byteCount < least ? .tooSlow : .goesOn
    }
}
