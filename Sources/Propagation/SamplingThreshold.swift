// SPDX-License-Identifier: Apache-2.0

/// The probability of recording, as OpenTelemetry's consistent threshold: a trace is recorded when the low 56 bits of
/// its id are not below it, so every product that follows the scheme decides alike.
public struct SamplingThreshold: BitwiseCopyable, Sendable, Hashable {
    /// 0 (always) ... 2^56 (never).
    public let value: UInt64

    public static let always = SamplingThreshold(value: 0)
    public static let never = SamplingThreshold(value: 1 << 56)

    private init(value: UInt64) { self.value = value }

    /// Reads `0` ... `100` with any number of decimals: digits, optionally a point and digits. The arithmetic is exact.
    /// A probability above zero never rounds down to never.
    public init?(percentText: String) {
        guard let fraction = DecimalFraction(percentText: percentText) else { return nil }
        guard !fraction.isOne else {
            self = .always
            return
        }
        var rest = fraction.digits
        var kept: UInt64 = 0
        for _ in 0..<56 { kept = kept << 1 | UInt64(doubled(&rest)) }
        kept += UInt64(doubled(&rest))  // The next bit rounds.
        let isPositive = fraction.digits.contains { $0 != 0 }
        value = 1 << 56 - max(kept, isPositive ? 1 : 0)
    }

    /// Whether a trace with this id is recorded.
    public func records(_ traceID: TraceID) -> Bool { traceID.low & (1 << 56 - 1) >= value }
}

/// A number from 0 to 1 as the decimal digits after its point.
private struct DecimalFraction {
    var digits: [UInt8]
    let isOne: Bool

    init?(percentText: String) {
        let parts = percentText.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count <= 2, !parts.contains(where: \.isEmpty), let whole = parts.first else { return nil }
        let decimals = parts.count == 2 ? parts[1].compactMap(decimalDigit) : []
        guard parts.count == 1 || decimals.count == parts[1].count else { return nil }  // bounded: one part or two
        let percent = whole.compactMap(decimalDigit)
        guard percent.count == whole.count else { return nil }
        let significant = Array(percent.drop { $0 == 0 })
        isOne = significant == [1, 0, 0] && decimals.allSatisfy { $0 == 0 }
        guard significant.count <= 2 || isOne else { return nil }
        digits = Array(repeating: 0, count: max(2 - significant.count, 0)) + significant + decimals
    }
}

private func decimalDigit(_ byte: UInt8) -> UInt8? {
    let digit = byte &- UInt8(ascii: "0")
    return digit < 10 ? digit : nil
}

/// Doubles a decimal fraction and returns what comes before its point: 0 or 1.
private func doubled(_ digits: inout [UInt8]) -> UInt8 {
    var carry: UInt8 = 0
    for index in digits.indices.reversed() {
        let double = digits[index] * 2 + carry
        carry = double / 10
        digits[index] = double % 10
    }
    return carry
}
