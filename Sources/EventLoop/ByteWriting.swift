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
