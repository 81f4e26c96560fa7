// SPDX-License-Identifier: Apache-2.0

/// Reads hex digits of either case. `nil` for any other byte and for a range outside `bytes`.
/// At most 16 digits; fewer are read as if zeros stood in front.
func hex(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
    guard range.upperBound <= bytes.count, range.count <= 16 else { return nil }
    var value: UInt64 = 0
    // bounded: the range was compared
    for index in range {
        let digit = digitValue(bytes[index])
        guard digit < 16 else { return nil }
        value = value << 4 | UInt64(digit)
    }
    return value
}

/// Reads lower-case hex digits only, as `traceparent` demands (Trace Context §2.2.2, HEXDIGLC).
func lowerHex(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
    guard let value = hex(bytes, range) else { return nil }
    // Digits and lower-case letters have bit 5 set, A-F do not.
    for index in range where bytes[index] & 0x20 == 0 { return nil }  // bounded: hex() compared the range
    return value
}

/// 0...15, or more for a byte that is no hex digit.
private func digitValue(_ byte: UInt8) -> UInt8 {
    let digit = byte &- UInt8(ascii: "0")
    if digit < 10 { return digit }
    let letter = (byte | 0x20) &- UInt8(ascii: "a")
    return letter < 6 ? letter + 10 : 0xFF
}
