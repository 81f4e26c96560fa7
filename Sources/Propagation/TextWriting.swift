// SPDX-License-Identifier: Apache-2.0

// Writing digits and constant text. `unsafe`, because a request writes some 110 digits and 200 bytes
// of names: byte by byte that was 2,700 of a request's instructions, in words it is 400.

/// Appends 16 lower-case digits; appends nothing when `out` has less room.
@inline(__always)
func appendHex(_ value: UInt64, to out: inout OutputSpan<UInt8>) {
    let digits = SIMD16(hexDigitsOf: value)
    guard out.freeCapacity >= 16 else { return }
    unsafe out.withUnsafeMutableBufferPointer { buffer, count in
        guard let base = buffer.baseAddress else { return }
        unsafe UnsafeMutableRawPointer(base + count).storeBytes(of: digits, as: SIMD16<UInt8>.self)
        count += 16
    }
}

/// Appends a line in one piece: `name` with its colon and blank, 16 or 32 digits, CRLF; appends nothing when `out` has
/// less room.
@inline(__always)
func appendLine(_ name: StaticString, high: UInt64? = nil, low: UInt64, to out: inout OutputSpan<UInt8>) {
    let nameCount = name.utf8CodeUnitCount
    let lineCount = nameCount + (high == nil ? 16 : 32) + 2
    guard out.freeCapacity >= lineCount else { return }
    unsafe out.withUnsafeMutableBufferPointer { buffer, count in
        guard let base = buffer.baseAddress else { return }
        unsafe UnsafeMutableRawPointer(base + count).copyMemory(from: name.utf8Start, byteCount: nameCount)
        let digits = unsafe UnsafeMutableRawPointer(base + count + nameCount)
        let end = unsafe UnsafeMutableRawPointer(base + count + lineCount) - 2
        if let high { unsafe digits.storeBytes(of: SIMD16(hexDigitsOf: high), as: SIMD16<UInt8>.self) }
        unsafe (end - 16).storeBytes(of: SIMD16(hexDigitsOf: low), as: SIMD16<UInt8>.self)
        unsafe end.storeBytes(of: lineEnd.littleEndian, as: UInt16.self)
        count += lineCount
    }
}

/// CRLF, the first byte in the lower half.
private let lineEnd: UInt16 = 0x0A0D

/// Appends 32 digits in groups of 8-4-4-4-12; appends nothing when `out` has less room.
// bounded: vectors of two
func appendUUID(_ high: UInt64, _ low: UInt64, to out: inout OutputSpan<UInt8>) {
    guard out.freeCapacity >= 36 else { return }
    unsafe out.withUnsafeMutableBufferPointer { buffer, count in
        guard let base = buffer.baseAddress else { return }
        let target = unsafe UnsafeMutableRawPointer(base + count)
        // Eight digits at a time; where a group of four ends inside, the dash and what follows overwrite the rest.
        func put(_ digits: UInt64, at offset: Int) {
            unsafe target.storeBytes(of: digits.littleEndian, toByteOffset: offset, as: UInt64.self)
        }
        let first = unsafe unsafeBitCast(SIMD16(hexDigitsOf: high), to: SIMD2<UInt64>.self)
        let second = unsafe unsafeBitCast(SIMD16(hexDigitsOf: low), to: SIMD2<UInt64>.self)
        put(first[0], at: 0)
        put(first[1], at: 9)
        put(first[1] >> 32, at: 14)
        put(second[0], at: 19)
        put(second[0] >> 32, at: 24)
        put(second[1], at: 28)
        unsafe target.storeBytes(of: dash, toByteOffset: 8, as: UInt8.self)
        unsafe target.storeBytes(of: dash, toByteOffset: 13, as: UInt8.self)
        unsafe target.storeBytes(of: dash, toByteOffset: 18, as: UInt8.self)
        unsafe target.storeBytes(of: dash, toByteOffset: 23, as: UInt8.self)
        count += 36
    }
}

/// Appends ASCII text; appends nothing when `out` has less room.
@inline(__always)
func append(_ text: StaticString, to out: inout OutputSpan<UInt8>) {
    let length = text.utf8CodeUnitCount
    guard out.freeCapacity >= length else { return }
    unsafe out.withUnsafeMutableBufferPointer { buffer, count in
        guard let base = buffer.baseAddress else { return }
        unsafe UnsafeMutableRawPointer(base + count).copyMemory(from: text.utf8Start, byteCount: length)
        count += length
    }
}

extension SIMD16<UInt8> {
    /// The sixteen lower-case digits of `value`, the first one first.
    @inlinable
    @inline(__always)
    public init(hexDigitsOf value: UInt64) {
        let bytes = value.bigEndian
        var nibbles = SIMD16<UInt8>()
        nibbles.evenHalf = unsafe unsafeBitCast(bytes >> 4 & 0x0F0F_0F0F_0F0F_0F0F, to: SIMD8<UInt8>.self)
        nibbles.oddHalf = unsafe unsafeBitCast(bytes & 0x0F0F_0F0F_0F0F_0F0F, to: SIMD8<UInt8>.self)
        let isLetter = (nibbles &+ 6) &>> 4  // 1 or 0; comparisons of vectors are loops
        self = nibbles &+ UInt8(ascii: "0") &+ (0 &- isLetter) & 39  // "a" is 39 above "9" + 1
    }
}
