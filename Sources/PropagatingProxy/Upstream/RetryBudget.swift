// SPDX-License-Identifier: Apache-2.0

/// Keeps retries from burying an upstream that is in trouble: over the last ten seconds they are at most a share of
/// the requests that may be retried, or else so many a second.
// bounded: `present` goes round in 0..<windowSeconds
struct RetryBudget: BitwiseCopyable {
    static let windowSeconds = 10

    private struct Second: BitwiseCopyable {
        var requests: UInt32 = 0
        var retries: UInt32 = 0
    }

    private let percent: Int
    private let leastPerSecond: Int
    private var seconds = InlineArray<10, Second>(repeating: Second())
    private var present = 0
    /// Of the whole window.
    private var requestCount = 0
    private var retryCount = 0

    /// - Parameters:
    ///   - percent: of the requests, 0 to 100.
    ///   - leastPerSecond: allowed however few the requests are.
    init(percent: Int, leastPerSecond: Int) {
        self.percent = percent
        self.leastPerSecond = leastPerSecond
    }

    /// A request that may be retried has come.
    mutating func noteRequest() {
        seconds[present].requests &+= 1
        requestCount &+= 1
    }

    /// Whether one more retry may be made; if so it counts.
    mutating func withdraw() -> Bool {
        let isWithinShare = (retryCount + 1) * 100 <= requestCount * percent
        guard isWithinShare || Int(seconds[present].retries) < leastPerSecond else { return false }
        seconds[present].retries &+= 1
        retryCount &+= 1
        return true
    }

    /// To be called each second.
    mutating func secondPassed() {
        present = present + 1 < Self.windowSeconds ? present + 1 : 0
        requestCount -= Int(seconds[present].requests)
        retryCount -= Int(seconds[present].retries)
        seconds[present] = Second()
    }
}
