// SPDX-License-Identifier: Apache-2.0
public import EventLoop

/// An IP address and port as span records carry them: 20 bytes instead of a `sockaddr`.
public struct EndpointAddress: BitwiseCopyable, Sendable {
    public enum Family: UInt8, BitwiseCopyable, Sendable { case none, v4, v6 }

    public let family: Family
    /// Network order: 4 or 16 bytes count, the rest is 0.
    public let ip: InlineArray<16, UInt8>
    /// 0 is unknown.
    public let port: UInt16

    /// No address.
    public init() {
        family = .none
        ip = InlineArray(repeating: 0)
        port = 0
    }

    /// A unix socket has no address here.
    public init(_ address: SocketAddress) {
        switch address.family {
        case .ipv4: family = .v4
        case .ipv6: family = .v6
        case .unix, .none: family = .none
        }
        ip = address.ip
        port = address.port
    }

    /// 0.0.0.0 and `::` say where a listener accepts, not where it is.
    var isWildcard: Bool {
        for index in 0..<16 where ip[index] != 0 { return false }
        return true
    }

    /// Bytes of ``ip`` that count; 0 if there is nothing worth reporting.
    var byteCount: Int {
        if isWildcard { return 0 }
        switch family {
        case .none: return 0
        case .v4: return 4
        case .v6: return 16
        }
    }
}
