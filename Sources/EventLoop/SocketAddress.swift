// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// An IPv4, IPv6 or unix-socket address, as the kernel's own bytes.
@safe
public struct SocketAddress: BitwiseCopyable, Sendable {
    public enum Family: UInt8, BitwiseCopyable, Sendable { case none, ipv4, ipv6, unix }

    /// A `struct sockaddr_*`; 112 bytes hold the largest, `sockaddr_un` with 110.
    private var bytes = InlineArray<112, UInt8>(repeating: 0)
    private var length: socklen_t = 0

    /// No address.
    public init() {}

    /// A literal IP address; `nil` if `host` is a name.
    ///
    /// - Parameter host: such as `127.0.0.1` or `::1`, without brackets.
    public init?(literal host: String, port: UInt16) {
        guard !host.utf8.contains(0) else { return nil }  // C would read a shorter text
        var four = sockaddr_in()
        if unsafe inet_pton(AF_INET, host, &four.sin_addr) == 1 {
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            store(four)
            return
        }
        var six = sockaddr_in6()
        guard unsafe inet_pton(AF_INET6, host, &six.sin6_addr) == 1 else { return nil }
        six.sin6_family = sa_family_t(AF_INET6)
        six.sin6_port = port.bigEndian
        store(six)
    }

    /// - Parameter ip: 4 or 16 bytes in network order; anything else gives no address.
    public init(ip: Span<UInt8>, port: UInt16) {
        if ip.count == 4 {
            var four = sockaddr_in()
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            store(four)
            for index in 0..<4 { bytes[4 + index] = ip[index] }
        } else if ip.count == 16 {
            var six = sockaddr_in6()
            six.sin6_family = sa_family_t(AF_INET6)
            six.sin6_port = port.bigEndian
            store(six)
            for index in 0..<16 { bytes[8 + index] = ip[index] }
        }
    }

    /// A unix socket; `nil` if the path has more than 107 bytes or none.
    public init?(unixPath path: String) {
        let text = Array(path.utf8)
        guard !text.isEmpty, text.count < 108, !text.contains(0) else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        store(address)
        for index in 0..<text.count { bytes[2 + index] = text[index] }
        bytes[2 + text.count] = 0
        length = socklen_t(2 + text.count + 1)
    }

    private mutating func store<Address>(_ address: Address) {
        length = socklen_t(MemoryLayout<Address>.size)
        unsafe withUnsafeBytes(of: address) { source in
            for index in 0..<source.count { unsafe bytes[index] = source[index] }
        }
    }

    public var family: Family {
        guard length >= 2 else { return .none }
        switch CInt(bytes[0]) | CInt(bytes[1]) << 8 {
        case AF_INET: return .ipv4
        case AF_INET6: return .ipv6
        case AF_UNIX: return .unix
        default: return .none
        }
    }

    /// 0 for a unix socket.
    public var port: UInt16 {
        switch family {
        case .ipv4, .ipv6: UInt16(bytes[2]) << 8 | UInt16(bytes[3])
        case .unix, .none: 0
        }
    }

    /// The address in network order: 4 or 16 bytes count, the rest is 0.
    public var ip: InlineArray<16, UInt8> {
        var address = InlineArray<16, UInt8>(repeating: 0)
        switch family {
        case .ipv4: for index in 0..<4 { address[index] = bytes[4 + index] }
        case .ipv6: for index in 0..<16 { address[index] = bytes[8 + index] }
        case .unix, .none: break
        }
        return address
    }

    /// 127.0.0.0/8, ::1, or a unix socket.
    public var isLoopback: Bool {
        switch family {
        case .ipv4: return bytes[4] == 127
        case .ipv6:
            for index in 0..<15 where bytes[8 + index] != 0 { return false }
            return bytes[8 + 15] == 1
        case .unix: return true
        case .none: return false
        }
    }

    /// 0.0.0.0 or `::`.
    public var isWildcard: Bool {
        guard family == .ipv4 || family == .ipv6 else { return false }
        let ip = ip
        for index in 0..<16 where ip[index] != 0 { return false }
        return true
    }

    /// The same address with another port.
    public func with(port: UInt16) -> SocketAddress {
        var copy = self
        guard family == .ipv4 || family == .ipv6 else { return copy }
        copy.bytes[2] = UInt8(port >> 8)
        copy.bytes[3] = UInt8(truncatingIfNeeded: port)
        return copy
    }

    /// The IP address as text, without brackets or port; empty for a unix socket. At most 45 bytes.
    public func writeIP(into out: inout OutputSpan<UInt8>) {
        var text = InlineArray<48, CChar>(repeating: 0)
        unsafe withUnsafeBytes(of: bytes) { raw in
            guard let base = raw.baseAddress else { return }
            unsafe withUnsafeMutableBytes(of: &text) { target in
                let buffer = unsafe target.baseAddress?.assumingMemoryBound(to: CChar.self)
                switch family {
                case .ipv4: _ = unsafe inet_ntop(AF_INET, base + 4, buffer, 48)
                case .ipv6: _ = unsafe inet_ntop(AF_INET6, base + 8, buffer, 48)
                case .unix, .none: break
                }
            }
        }
        var index = 0
        while index < 48, text[index] != 0, out.freeCapacity > 0 {
            out.append(UInt8(bitPattern: text[index]))
            index += 1
        }
    }

    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        unsafe withUnsafeBytes(of: bytes) { raw in
            // An InlineArray of 112 bytes is never empty, so it has an address.
            unsafe body(raw.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: sockaddr.self), length)
        }
    }

    /// Lets the kernel write an address.
    mutating func fill(_ write: (UnsafeMutableRawPointer, inout socklen_t) -> CInt) -> CInt {
        var room = socklen_t(112)
        let result = unsafe withUnsafeMutableBytes(of: &bytes) { raw in
            unsafe write(raw.baseAddress.unsafelyUnwrapped, &room)
        }
        length = result >= 0 ? min(room, 112) : 0
        return result
    }

    static func local(of descriptor: CInt) -> SocketAddress? {
        var address = SocketAddress()
        let status = unsafe address.fill { bytes, length in
            unsafe getsockname(descriptor, bytes.assumingMemoryBound(to: sockaddr.self), &length)
        }
        return status == 0 ? address : nil
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `127.0.0.1:80`, `[::1]:80` or `unix:/path`.
    public var description: String {
        switch family {
        case .ipv4: return "\(ipText):\(port)"
        case .ipv6: return "[\(ipText)]:\(port)"
        case .unix:
            let path = (2..<Int(length)).map { bytes[$0] }.prefix { $0 != 0 }
            return "unix:" + String(decoding: path, as: UTF8.self)
        case .none: return "none"
        }
    }

    private var ipText: String {
        let text = [UInt8](capacity: 48) { writeIP(into: &$0) }
        return String(decoding: text, as: UTF8.self)
    }
}

extension SocketAddress: Hashable {
    public func hash(into hasher: inout Hasher) {
        for index in 0..<Int(length) { hasher.combine(bytes[index]) }
    }

    public static func == (a: Self, b: Self) -> Bool {
        guard a.length == b.length else { return false }
        for index in 0..<Int(a.length) where a.bytes[index] != b.bytes[index] { return false }
        return true
    }
}
