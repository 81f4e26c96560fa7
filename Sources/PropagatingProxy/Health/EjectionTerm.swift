// SPDX-License-Identifier: Apache-2.0

/// How often and until when one endpoint is ejected.
struct EjectionTerm: BitwiseCopyable {
    private static let longestMilliseconds = 300_000

    /// Monotonic microseconds; `nil`: not ejected.
    private(set) var end: UInt64?
    /// Ejections not yet made good by an interval without one.
    private(set) var count = 0

    var isRunning: Bool { end != nil }

    /// Each one lasts longer than the last, up to 5 min, or as long as the first if that is longer.
    mutating func begin(at now: UInt64, _ rule: Configuration.OutlierDetection) {
        count += 1
        let base = rule.baseEjectionMilliseconds
        let milliseconds = min(base * count, max(base, Self.longestMilliseconds))
        end = now + UInt64(milliseconds) * 1000
    }

    /// Called once in each interval.
    ///
    /// - Returns: whether the endpoint comes back now.
    mutating func look(at now: UInt64) -> Bool {
        guard let end else {
            count = max(0, count - 1)
            return false
        }
        guard now >= end else { return false }
        self.end = nil
        return true
    }
}

extension Configuration.OutlierDetection {
    /// Whether one more may be ejected. The first always may.
    func allows(ejected: Int, of total: Int) -> Bool {
        ejected < max(1, total * maximumEjectionPercent / 100)
    }
}
