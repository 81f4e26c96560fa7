// SPDX-License-Identifier: Apache-2.0

/// A block of IP addresses in CIDR notation (RFC 4632 §3.1, RFC 4291 §2.3). Blocks of IPv4 and of
/// IPv6 hold nothing of each other, but an IPv4 address mapped into IPv6 counts as the IPv4 one.
public struct AddressBlock: BitwiseCopyable, Sendable, Equatable {
    /// `::ffff:0:0`, under which IPv6 holds the IPv4 addresses (RFC 4291 §2.5.5.2).
    private static let mapped: UInt128 = 0xFFFF_0000_0000

    private let isIPv6: Bool
    private let first: UInt128
    private let mask: UInt128

    /// Such as `10.0.0.0/8` or `::1/128`; an address without a length is a block of one. `nil` for
    /// anything else, and if the address has bits behind its prefix.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let literal = parts.first, parts.count <= 2 else { return nil }
        guard let address = SocketAddress(literal: String(literal), port: 0) else { return nil }
        isIPv6 = address.family == .ipv6
        let width = isIPv6 ? 128 : 32
        let length = parts.count == 1 ? width : Self.length(parts[1])
        guard let length, length <= width else { return nil }
        mask = length == 0 ? 0 : UInt128.max << UInt128(width - length)
        first = Self.number(address)
        guard first & ~mask == 0 else { return nil }
    }

    /// An address without an IP, as a unix socket has it, is in no block.
    public func contains(_ address: SocketAddress) -> Bool {
        switch address.family {
        case .ipv4: return !isIPv6 && Self.number(address) & mask == first
        case .ipv6:
            let number = Self.number(address)
            if number >> 32 == Self.mapped >> 32 { return !isIPv6 && number & 0xFFFF_FFFF & mask == first }
            return isIPv6 && number & mask == first
        case .unix, .none: return false
        }
    }

    private static func length(_ text: Substring) -> Int? {
        guard (1...3).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(text)
    }

    private static func number(_ address: SocketAddress) -> UInt128 {
        let ip = address.ip
        var number: UInt128 = 0
        for index in 0..<(address.family == .ipv6 ? 16 : 4) { number = number << 8 | UInt128(ip[index]) }
        return number
    }
}
