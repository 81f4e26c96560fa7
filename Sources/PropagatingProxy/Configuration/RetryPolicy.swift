// SPDX-License-Identifier: Apache-2.0

/// When a route sends a request again. Without one, only the idle-close race and a connect to another address are tried anew.
struct RetryPolicy: BitwiseCopyable, Hashable, Sendable {
    /// What ended a try.
    enum Cause: BitwiseCopyable, Equatable {
        /// No connection; nothing was sent.
        case connectFailure
        /// No whole response head: the connection broke, or the time of the try was up.
        case reset
        case status(UInt16)
    }

    static let attemptLimit = 5

    var onConnectFailure = false
    var onReset = false
    var statuses = StatusSet()
    /// More tries after the first; at most ``attemptLimit``.
    var attempts: UInt8 = 1
    /// Also methods that may do twice what they do once (RFC 9110 §9.2.2), after bytes of the request have gone out.
    var repeatsNonIdempotent = false
    /// From the whole request sent to the response head, for each try; `nil`: the response timeout alone.
    var perTryMilliseconds: Int?
    var backOff = BackOff()

    func covers(_ cause: Cause) -> Bool {
        switch cause {
        case .connectFailure: onConnectFailure
        case .reset: onReset
        case .status(let status): statuses.contains(status)
        }
    }
}

/// How long a retry waits: at random up to a ceiling that doubles with each.
struct BackOff: BitwiseCopyable, Hashable, Sendable {
    var baseMilliseconds = 25
    var maximumMilliseconds = 250

    /// - Parameter retry: 1 for the first.
    func milliseconds(before retry: Int, random: inout some RandomNumberGenerator) -> Int {
        let doubled = baseMilliseconds << min(max(0, retry - 1), RetryPolicy.attemptLimit)
        return Int.random(in: 1...max(1, min(doubled, maximumMilliseconds)), using: &random)
    }
}

/// Some of the statuses 400 to 599.
struct StatusSet: BitwiseCopyable, Hashable, Sendable {
    private var bits = SIMD4<UInt64>()

    mutating func insert(_ status: UInt16) {
        guard (400...599).contains(status) else { return }
        let bit = Int(status) - 400
        bits[bit / 64] |= 1 << UInt64(bit % 64)
    }

    func contains(_ status: UInt16) -> Bool {
        guard (400...599).contains(status) else { return false }
        let bit = Int(status) - 400
        return bits[bit / 64] >> UInt64(bit % 64) & 1 == 1
    }
}
