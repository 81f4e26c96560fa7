// SPDX-License-Identifier: Apache-2.0

// Writing digits and constant text. `unsafe`, because a request writes some 110 digits and 200 bytes
// of names: byte by byte that was 2,700 of a request's instructions, in words it is 400.

/// Appends 16 lower-case digits; appends nothing when `out` has less room.
@inline(__always)
func appendHex(_ value: UInt64, to out: inout OutputSpan<UInt8>) {
    let high = hexDigits(UInt32(truncatingIfNeeded: value >> 32))
    let low = hexDigits(UInt32(truncatingIfNeeded: value))
    guard out.freeCapacity >= 16 else { return }
    unsafe out.withUnsafeMutableBufferPointer { buffer, count in
        guard let base = buffer.baseAddress else { return }
        let target = unsafe UnsafeMutableRawPointer(base + count)
        unsafe target.storeBytes(of: high.bigEndian, as: UInt64.self)
        unsafe target.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        count += 16
    }
}

/// Appends 32 digits in groups of 8-4-4-4-12; appends nothing when `out` has less room.
func appendUUID(_ high: UInt64, _ low: UInt64, to out: inout OutputSpan<UInt8>) {
    guard out.freeCapacity >= 36 else { return }
    unsafe out.withUnsafeMutableBufferPointer { buffer, count in
        guard let base = buffer.baseAddress else { return }
        let target = unsafe UnsafeMutableRawPointer(base + count)
        // Eight digits at a time; where a group of four ends inside, the dash and what follows overwrite the rest.
        func put(_ digits: UInt64, at offset: Int) {
            unsafe target.storeBytes(of: digits.bigEndian, toByteOffset: offset, as: UInt64.self)
        }
        let second = hexDigits(UInt32(truncatingIfNeeded: high))
        let third = hexDigits(UInt32(truncatingIfNeeded: low >> 32))
        put(hexDigits(UInt32(truncatingIfNeeded: high >> 32)), at: 0)
        put(second, at: 9)
        put(second << 32, at: 14)
        put(third, at: 19)
        put(third << 32, at: 24)
        put(hexDigits(UInt32(truncatingIfNeeded: low)), at: 28)
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
        unsafe (base + count).update(from: text.utf8Start, count: length)
        count += length
    }
}

/// The eight digits of `value`, the first one in the highest byte.
private func hexDigits(_ value: UInt32) -> UInt64 {
    var nibbles = UInt64(value)
    nibbles = (nibbles << 16 | nibbles) & 0x0000_FFFF_0000_FFFF
    nibbles = (nibbles << 8 | nibbles) & 0x00FF_00FF_00FF_00FF
    nibbles = (nibbles << 4 | nibbles) & 0x0F0F_0F0F_0F0F_0F0F
    let letters = ((nibbles &+ 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101
    return nibbles &+ 0x3030_3030_3030_3030 &+ letters &* 39  // "a" is 39 above "9" + 1
}
