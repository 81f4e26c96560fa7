// SPDX-License-Identifier: Apache-2.0

/// Whether `bytes` are `host[:port]` as Host may carry it: a registered name or IPv4 address, or an
/// IPv6 address in brackets, and a port of 1 to 65535 (RFC 3986 §3.2, RFC 9110 §7.2).
///
/// No user information, and no comma: a list of Hosts must not pass for one name.
public func isHost(_ bytes: Span<UInt8>) -> Bool {
    guard !bytes.isEmpty else { return false }
    var index = 0
    if bytes[0] == UInt8(ascii: "[") {
        while index < bytes.count, bytes[index] != UInt8(ascii: "]") { index += 1 }
        // bounded: the bracket stands behind the first byte
        guard index < bytes.count, isIPv6Address(bytes.extracting(1..<index)) else { return false }
        index += 1
    } else {
        var rest = bytes
        while rest.count >= 8 {
            let count = Word(rest).countBeforeRareInHost
            rest = rest.extracting(droppingFirst: count ?? 8)
            if count != nil { break }
        }
        while !rest.isEmpty, ByteClass.registeredName.contains(rest[0]) {
            if rest[0] == UInt8(ascii: "%"), !isEscape(at: bytes.count - rest.count, in: bytes) { return false }
            rest = rest.extracting(droppingFirst: 1)
        }
        index = bytes.count - rest.count
        guard index > 0, index <= maximumNameBytes else { return false }
    }
    guard index < bytes.count else { return true }
    return bytes[index] == colon && isPort(bytes.extracting(droppingFirst: index + 1))
}

/// The longest DNS name (RFC 1035 §2.3.4).
private let maximumNameBytes = 255

private func isPort(_ digits: Span<UInt8>) -> Bool {
    guard 1...5 ~= digits.count else { return false }
    var port = 0
    for index in digits.indices {
        let digit = digits[index] &- UInt8(ascii: "0")
        guard digit < 10 else { return false }
        port = port &* 10 &+ Int(digit)  // five digits at most
    }
    return 1...65_535 ~= port
}

/// `%` and two hex digits (RFC 3986 §2.1).
func isEscape(at index: Int, in bytes: Span<UInt8>) -> Bool {
    index + 2 < bytes.count && hexValue(bytes[index + 1]) != nil && hexValue(bytes[index + 2]) != nil
}

/// Eight groups of 1 to 4 hex digits, one run of which may be `::`, the last two of which may be
/// an IPv4 address (RFC 3986 §3.2.2). No zone: it means nothing to another host.
private func isIPv6Address(_ bytes: Span<UInt8>) -> Bool {
    var groups = 0
    var hasGap = false
    var index = 0
    if bytes.count >= 2, bytes[0] == colon {
        guard bytes[1] == colon else { return false }
        hasGap = true
        index = 2
    }
    while index < bytes.count {
        let start = index
        while index < bytes.count, hexValue(bytes[index]) != nil { index += 1 }
        if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
            groups += 2
            return isIPv4Address(bytes.extracting(droppingFirst: start)) && (hasGap ? groups < 8 : groups == 8)
        }
        guard 1...4 ~= index - start else { return false }
        groups += 1
        guard index < bytes.count else { break }
        guard bytes[index] == colon, index + 1 < bytes.count else { return false }
        index += 1
        if bytes[index] == colon {  // bounded: index + 1 was compared
            guard !hasGap else { return false }
            hasGap = true
            index += 1
        }
    }
    return hasGap ? groups < 8 : groups == 8
}

/// Four numbers of 0 to 255 without leading zeros (RFC 3986 §3.2.2).
private func isIPv4Address(_ bytes: Span<UInt8>) -> Bool {
    var numbers = 0
    var index = 0
    while true {
        let start = index
        var value = 0
        while index < bytes.count, index - start < 4, isDigit(bytes[index]) {
            value = value * 10 + Int(bytes[index] - UInt8(ascii: "0"))
            index += 1
        }
        let digits = index - start
        // bounded: start is where index was, and there is a digit
        guard 1...3 ~= digits, value <= 255, digits == 1 || bytes[start] != UInt8(ascii: "0") else { return false }
        numbers += 1
        guard index < bytes.count else { return numbers == 4 }
        guard bytes[index] == UInt8(ascii: "."), numbers < 4 else { return false }
        index += 1
    }
}
