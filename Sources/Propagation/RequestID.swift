// SPDX-License-Identifier: Apache-2.0

/// The `x-request-id` value: a lower-case UUID, version 4 (RFC 9562 §5.4).
public enum RequestID {
    /// Bytes of a value we write.
    public static let byteCount = 36

    /// Appends a new value; appends nothing when `out` has less room.
    @inlinable
    public static func write(random: inout some RandomNumberGenerator, into out: inout OutputSpan<UInt8>) {
        write(high: random.next(), low: random.next(), into: &out)
    }

    @usableFromInline
    static func write(high: UInt64, low: UInt64, into out: inout OutputSpan<UInt8>) {
        guard out.freeCapacity >= byteCount else { return }
        let version = high & ~0xF000 | 0x4000
        let variant = low & ~(0b11 << 62) | 0b10 << 62
        appendUUID(version, variant, to: &out)
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
