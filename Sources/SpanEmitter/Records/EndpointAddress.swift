// SPDX-License-Identifier: Apache-2.0
public import EventLoop

/// An IP address and port as span records carry them: 20 bytes instead of a `sockaddr`.
public struct EndpointAddress: BitwiseCopyable, Sendable {
    /// Network order: ``byteCount`` bytes count, the rest is 0.
    public let ip: InlineArray<16, UInt8>
    /// 0 is unknown.
    public let port: UInt16
    /// 4 or 16; 0 if there is nothing worth reporting: a unix socket, or 0.0.0.0 and `::`, which say
    /// where a listener accepts and not where it is.
    public let byteCount: UInt8

    /// The first four bytes, the first of all in the lowest.
    var quad: UInt32 {
        // bounded: sixteen bytes
        UInt32(ip[0]) | UInt32(ip[1]) << 8 | UInt32(ip[2]) << 16 | UInt32(ip[3]) << 24
    }

    /// No address.
    public init() {
        ip = InlineArray(repeating: 0)
        port = 0
        byteCount = 0
    }

    public init(_ address: SocketAddress) {
        ip = address.ip
        port = address.port
        var isWildcard = true
        for index in 0..<16 where ip[index] != 0 { isWildcard = false }  // bounded: sixteen bytes
        switch address.family {
        case .ipv4 where !isWildcard: byteCount = 4
        case .ipv6 where !isWildcard: byteCount = 16
        default: byteCount = 0
        }
    }
}
