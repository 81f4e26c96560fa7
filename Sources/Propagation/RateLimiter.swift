// SPDX-License-Identifier: Apache-2.0

/// Lets a number of events through each second. Below 10 the whole second's budget may go at once; from 10 up it is
/// released in tenths of a second, the remainder with the first tenth, and what a tenth leaves the next may use.
public struct RateLimiter: BitwiseCopyable, Sendable {
    private let perSecond: Int
    private var windowStartMicroseconds: UInt64 = 0
    private var used = 0

    /// 0 or less lets nothing through.
    public init(perSecond: Int) { self.perSecond = max(perSecond, 0) }

    /// Takes one from the budget, or answers false. `nowMicroseconds` is a monotonic time.
    public mutating func take(nowMicroseconds: UInt64) -> Bool {
        guard hasBudget(nowMicroseconds: nowMicroseconds) else { return false }
        used += 1
        return true
    }

    /// Whether ``take(nowMicroseconds:)`` would succeed.
    public mutating func hasBudget(nowMicroseconds: UInt64) -> Bool {
        // Wrapping: a time before the window, which a monotonic clock never shows, opens a new one.
        if nowMicroseconds &- windowStartMicroseconds >= 1_000_000 {
            windowStartMicroseconds = nowMicroseconds
            used = 0
        }
        return used < released(atTenth: Int((nowMicroseconds &- windowStartMicroseconds) / 100_000))
    }

    /// `tenth` is 0...9.
    private func released(atTenth tenth: Int) -> Int {
        perSecond < 10 ? perSecond : perSecond % 10 + perSecond / 10 * (tenth + 1)
    }
}
