// SPDX-License-Identifier: Apache-2.0

/// A set of ASCII bytes as 128 bits, so that a test is a shift and a mask and no memory is touched.
struct ByteClass: BitwiseCopyable, Sendable {
    private let low: UInt64
    private let high: UInt64

    init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    func contains(_ byte: UInt8) -> Bool {
        let half = byte & 0x40 == 0 ? low : high
        return byte < 0x80 && (half >> UInt64(byte & 0x3F)) & 1 != 0
    }

    /// `tchar`: letters, digits and ``!#$%&'*+-.^_`|~`` (RFC 9110 §5.6.2).
    static let token = ByteClass(low: 0x03FF_6CFA_0000_0000, high: 0x57FF_FFFF_C7FF_FFFE)
    /// What a request target may hold: `unreserved`, `reserved` without `#`, and `%` (RFC 3986 §2).
    static let target = ByteClass(low: 0xAFFF_FFF2_0000_0000, high: 0x47FF_FFFE_AFFF_FFFF)
    /// `unreserved`, `sub-delims` without the comma, and `%`: a registered name (RFC 3986 §3.2.2).
    static let registeredName = ByteClass(low: 0x2BFF_6FF2_0000_0000, high: 0x47FF_FFFE_87FF_FFFE)
}

let space = UInt8(ascii: " ")
let horizontalTab = UInt8(ascii: "\t")
let carriageReturn = UInt8(ascii: "\r")
let lineFeed = UInt8(ascii: "\n")
let colon = UInt8(ascii: ":")

func isBlank(_ byte: UInt8) -> Bool { byte == space || byte == horizontalTab }
func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }
/// `field-vchar`, blanks and `obs-text` (RFC 9110 §5.5).
func isFieldValueByte(_ byte: UInt8) -> Bool { byte >= space && byte != 0x7F || byte == horizontalTab }

/// The value of a hex digit of either case, or `nil`.
func hexValue(_ byte: UInt8) -> UInt8? {
    let digit = byte &- UInt8(ascii: "0")
    if digit < 10 { return digit }
    let letter = (byte | 0x20) &- UInt8(ascii: "a")
    return letter < 6 ? letter &+ 10 : nil
}

/// ASCII upper case to lower case; other bytes unchanged.
func lowercased(_ byte: UInt8) -> UInt8 {
    byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte
}
