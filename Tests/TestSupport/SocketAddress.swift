// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Where a test's socket listens or connects to: loopback or a path.
public enum SocketAddress: Sendable, Hashable, CustomStringConvertible {
    case ipv4(port: UInt16)
    case ipv6(port: UInt16)
    case unix(path: String)

    /// As written in a configuration's `endpoints` and `address`.
    public var description: String {
        switch self {
        case .ipv4(let port): "127.0.0.1:\(port)"
        case .ipv6(let port): "[::1]:\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    public var port: UInt16 {
        switch self {
        case .ipv4(let port), .ipv6(let port): port
        case .unix: 0
        }
    }

    /// Reads `127.0.0.1:5000`, `0.0.0.0:5000`, `[::1]:5000`, `[::]:5000` or `unix:/path`; wildcards become loopback.
    public init?(_ text: some StringProtocol) {
        if text.hasPrefix("unix:") {
            self = .unix(path: String(text.dropFirst(5)))
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        self = text.hasPrefix("[") ? .ipv6(port: port) : .ipv4(port: port)
    }

    var family: Int32 {
        switch self {
        case .ipv4: AF_INET
        case .ipv6: AF_INET6
        case .unix: AF_UNIX
        }
    }

    /// Lends the kernel's form of the address.
    func withKernelForm<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        switch self {
        case .ipv4(let port):
            var form = sockaddr_in()
            form.sin_family = sa_family_t(AF_INET)
            form.sin_port = port.bigEndian
            form.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            return unsafe Self.lend(&form, body)
        case .ipv6(let port):
            var form = sockaddr_in6()
            form.sin6_family = sa_family_t(AF_INET6)
            form.sin6_port = port.bigEndian
            form.sin6_addr = in6addr_loopback
            return unsafe Self.lend(&form, body)
        case .unix(let path):
            var form = sockaddr_un()
            form.sun_family = sa_family_t(AF_UNIX)
            unsafe withUnsafeMutableBytes(of: &form.sun_path) { unsafe $0.copyBytes(from: path.utf8.prefix(107)) }
            return unsafe Self.lend(&form, body)
        }
    }

    private static func lend<Form, Result>(
        _ form: inout Form, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        unsafe withUnsafePointer(to: &form) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<Form>.size))
            }
        }
    }
}
