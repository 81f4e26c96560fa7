// SPDX-License-Identifier: Apache-2.0
public import EventLoop

/// An IP address and port as span records carry them: 20 bytes instead of a `sockaddr`.
public struct EndpointAddress: BitwiseCopyable, Sendable {
    /// As the bytes of ``ip`` lie in memory. An array of bytes is handed on byte by byte, in a register each.
    private let words: (UInt32, UInt32, UInt32, UInt32)
    /// 0 is unknown.
    public let port: UInt16
    /// 4 or 16; 0 if there is nothing worth reporting: a unix socket, or 0.0.0.0 and `::`, which say
    /// where a listener accepts and not where it is.
    public let byteCount: UInt8

    /// The first four bytes, the first of all in the lowest.
    var quad: UInt32 { words.0 }

    /// Network order: ``byteCount`` bytes count, the rest is 0.
    public var ip: InlineArray<16, UInt8> {
        InlineArray { index in
            let word = index < 8 ? (index < 4 ? words.0 : words.1) : (index < 12 ? words.2 : words.3)
            return UInt8(truncatingIfNeeded: word >> (UInt32(index) % 4 * 8))
        }
    }

    /// No address.
    public init() {
        words = (0, 0, 0, 0)
        port = 0
        byteCount = 0
    }

    public init(_ address: SocketAddress) {
        let ip = address.ip
        func word(_ place: Int) -> UInt32 {
            // bounded: four words of sixteen bytes
            UInt32(ip[place]) | UInt32(ip[place + 1]) << 8 | UInt32(ip[place + 2]) << 16 | UInt32(ip[place + 3]) << 24
        }
        words = (word(0), word(4), word(8), word(12))
        port = address.port
        let isWildcard = words == (0, 0, 0, 0)
        switch address.family {
        case .ipv4 where !isWildcard: byteCount = 4
        case .ipv6 where !isWildcard: byteCount = 16
        default: byteCount = 0
        }
    }
}
