// SPDX-License-Identifier: Apache-2.0

/// Writing text and slices into free space. What does not fit is left out whole; callers that
/// must not lose anything check ``OutputSpan/freeCapacity`` first.
extension OutputSpan where Element == UInt8 {
    /// Appends constant text.
    @inlinable
    @inline(__always)
    public mutating func write(_ text: StaticString) {
        let count = text.utf8CodeUnitCount
        guard count <= freeCapacity else { return }
        unsafe withUnsafeMutableBufferPointer { buffer, used in
            guard let base = buffer.baseAddress else { return }
            unsafe copySmall(from: text.utf8Start, to: base + used, count: count)
            used += count
        }
    }

    /// Appends constant text as `grpc-message` has it: bytes other than printable ASCII, and `%`, as `%` and two digits.
    public mutating func write(percentEncoding text: StaticString) {
        guard 3 * text.utf8CodeUnitCount <= freeCapacity else { return }
        for offset in 0..<text.utf8CodeUnitCount {
            let byte = unsafe text.utf8Start[offset]  // bounded: offsets of the text
            if 0x20...0x7E ~= byte, byte != UInt8(ascii: "%") {
                append(byte)
            } else {
                append(UInt8(ascii: "%"))
                append(Self.digit(byte >> 4))
                append(Self.digit(byte & 15))
            }
        }
    }

    /// Upper-case, as RFC 3986 §2.1 likes it.
    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") - 10 + value
    }

    /// Appends a slice.
    public mutating func write(_ bytes: Span<UInt8>) {
        let count = bytes.count
        guard count <= freeCapacity else { return }
        unsafe withUnsafeMutableBufferPointer { buffer, used in
            unsafe bytes.withUnsafeBufferPointer { source in
                guard let base = buffer.baseAddress, let start = source.baseAddress else { return }
                unsafe copySmall(from: start, to: base + used, count: count)
                used += count
            }
        }
    }

    /// Appends a number in decimal digits, without leading zeros.
    public mutating func write(decimal number: UInt64) {
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var first = 20
        var rest = number
        repeat {
            first -= 1
            digits[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        guard 20 - first <= freeCapacity else { return }
        for index in first..<20 { append(digits[index]) }
    }
}
