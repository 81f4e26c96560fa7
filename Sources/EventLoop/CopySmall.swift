// SPDX-License-Identifier: Apache-2.0

/// Copies bytes that are mostly few, between places that do not overlap: a call of `memcpy` costs more than
/// the words at either end that cover 8 to 64 bytes.
@inlinable
@inline(__always)
@unsafe
public func copySmall(from source: UnsafePointer<UInt8>, to target: UnsafeMutablePointer<UInt8>, count: Int) {
    let from = unsafe UnsafeRawPointer(source)
    let to = UnsafeMutableRawPointer(target)
    switch count {
    case 17...32:
        let first = unsafe from.loadUnaligned(as: SIMD16<UInt8>.self)
        let last = unsafe from.loadUnaligned(fromByteOffset: count - 16, as: SIMD16<UInt8>.self)
        unsafe to.storeBytes(of: first, as: SIMD16<UInt8>.self)
        unsafe to.storeBytes(of: last, toByteOffset: count - 16, as: SIMD16<UInt8>.self)
    case 33...64:
        let first = unsafe from.loadUnaligned(as: SIMD16<UInt8>.self)
        let second = unsafe from.loadUnaligned(fromByteOffset: 16, as: SIMD16<UInt8>.self)
        let third = unsafe from.loadUnaligned(fromByteOffset: count - 32, as: SIMD16<UInt8>.self)
        let last = unsafe from.loadUnaligned(fromByteOffset: count - 16, as: SIMD16<UInt8>.self)
        unsafe to.storeBytes(of: first, as: SIMD16<UInt8>.self)
        unsafe to.storeBytes(of: second, toByteOffset: 16, as: SIMD16<UInt8>.self)
        unsafe to.storeBytes(of: third, toByteOffset: count - 32, as: SIMD16<UInt8>.self)
        unsafe to.storeBytes(of: last, toByteOffset: count - 16, as: SIMD16<UInt8>.self)
    case 8...16:
        let first = unsafe from.loadUnaligned(as: UInt64.self)
        let last = unsafe from.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
        unsafe to.storeBytes(of: first, as: UInt64.self)
        unsafe to.storeBytes(of: last, toByteOffset: count - 8, as: UInt64.self)
    case 4...7:
        let first = unsafe from.loadUnaligned(as: UInt32.self)
        let last = unsafe from.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self)
        unsafe to.storeBytes(of: first, as: UInt32.self)
        unsafe to.storeBytes(of: last, toByteOffset: count - 4, as: UInt32.self)
    case 1...3:
        for offset in 0..<count { unsafe target[offset] = source[offset] }
    default:
        unsafe to.copyMemory(from: from, byteCount: count)
    }
}
