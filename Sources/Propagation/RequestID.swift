// SPDX-License-Identifier: Apache-2.0

/// An `x-request-id` of ours: a lower-case UUID, version 4 (RFC 9562 §5.4).
public struct RequestID: BitwiseCopyable, Sendable {
    /// Bytes of a value we write.
    public static let byteCount = 36

    private let high: UInt64
    private let low: UInt64

    /// A new one.
    @inlinable
    public init(random: inout some RandomNumberGenerator) { self.init(high: random.next(), low: random.next()) }

    @usableFromInline
    init(high: UInt64, low: UInt64) {
        self.high = high & ~0xF000 | 0x4000
        self.low = low & ~(0b11 << 62) | 0b10 << 62
    }

    /// Appends its text; appends nothing when `out` has less room.
    public func write(into out: inout OutputSpan<UInt8>) { appendUUID(high, low, to: &out) }

    /// Appends a new value; appends nothing when `out` has less room.
    @inlinable
    public static func write(random: inout some RandomNumberGenerator, into out: inout OutputSpan<UInt8>) {
        RequestID(random: &random).write(into: &out)
    }

    /// Whether a received value may be passed on: 1...128 bytes of `[A-Za-z0-9-_.:]`.
    public static func isAcceptable(_ value: Span<UInt8>) -> Bool {
        guard (1...128).contains(value.count) else { return false }
        for index in value.indices {
            switch value[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                UInt8(ascii: ":"):
                continue
            default: return false
            }
        }
        return true
    }
}
