// SPDX-License-Identifier: Apache-2.0

/// Says whether one more would be too many, for a rate with a burst.
struct TokenBucket: BitwiseCopyable {
    /// What one costs; so that a microsecond at one a second is a whole number.
    private static let price: Int64 = 1_000_000

    private let most: Int64
    private let perSecond: Int64
    private var level: Int64
    private var filledMicroseconds: UInt64 = 0

    init(_ rate: HTTP2Limits.Rate) {
        most = Int64(rate.burst) * Self.price
        perSecond = Int64(rate.perSecond)
        level = most
    }

    /// Takes one; `false` when there was none.
    mutating func take(nowMicroseconds: UInt64) -> Bool {
        if nowMicroseconds > filledMicroseconds {
            // A minute fills every bucket we have; the bound keeps the product small.
            let elapsed = Int64(min(nowMicroseconds - filledMicroseconds, 60_000_000))
            level = min(most, level + elapsed * perSecond)
            filledMicroseconds = nowMicroseconds
        }
        guard level >= Self.price else { return false }
        level -= Self.price
        return true
    }

    /// Puts one back.
    mutating func give() { level = min(most, level + Self.price) }
}
