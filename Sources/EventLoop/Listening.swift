// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// Opens listening sockets, one per worker.
public enum Listening {
    private static let backlog: CInt = 4096

    /// Binds and listens.
    ///
    /// Every worker gets a socket of its own in one SO_REUSEPORT group, among which the kernel
    /// spreads new connections. A port that another process listens on is refused: SO_REUSEPORT
    /// alone would silently share it, so a socket without it is bound first. Unix sockets have no
    /// such groups; workers share one by duplicates.
    ///
    /// - Parameter count: how many workers; at least 1.
    public static func open(_ address: SocketAddress, count: Int) throws(EventLoopError) -> [SharedDescriptor] {
        if address.family == .unix { return try openUnix(address, count: count) }
        let first = try bound(address, sharesPort: false)
        guard count > 1 else { return [SharedDescriptor(try listening(first))] }
        let actual = SocketAddress.local(of: first.rawValue) ?? address
        _ = consume first  // closes: the port was free
        var sockets: [SharedDescriptor] = []
        for _ in 0..<count { sockets.append(SharedDescriptor(try listening(bound(actual, sharesPort: true)))) }
        return sockets
    }

    private static func openUnix(_ address: SocketAddress, count: Int) throws(EventLoopError) -> [SharedDescriptor] {
        removeStale(address)
        let first = SharedDescriptor(try listening(bound(address, sharesPort: false)))
        var sockets = [first]
        for _ in 1..<max(1, count) { sockets.append(SharedDescriptor(try first.descriptor.duplicate())) }
        return sockets
    }

    /// A socket file nobody answers behind is left over from a process that died. Other files
    /// refuse a connect just the same; they are not ours to remove.
    private static func removeStale(_ address: SocketAddress) {
        let path = String(address.description.dropFirst("unix:".count))
        var status = stat()
        guard unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return }
        let probe = sys_stream_socket(AF_UNIX)
        guard probe >= 0 else { return }
        defer { _ = close(probe) }
        let connected = unsafe address.withPointer { unsafe connect(probe, $0, $1) }
        guard connected != 0, errno == ECONNREFUSED else { return }
        _ = unsafe unlink(path)
    }

    private static func bound(_ address: SocketAddress, sharesPort: Bool) throws(EventLoopError) -> Descriptor {
        let family =
            switch address.family {
            case .ipv6: AF_INET6
            case .unix: AF_UNIX
            case .ipv4, .none: AF_INET
            }
        let number = sys_stream_socket(family)
        guard number >= 0 else { throw .system(call: "socket", errno: errno) }
        let descriptor = Descriptor(owning: number)
        if family != AF_UNIX {
            _ = sys_reuse_address(number)
            _ = sys_no_delay(number)
            if sharesPort { _ = sys_reuse_port(number) }
            if family == AF_INET6 { _ = sys_ipv6_only(number) }
        }
        let status = unsafe address.withPointer { unsafe bind(number, $0, $1) }
        guard status == 0 else { throw .system(call: "bind", errno: errno) }
        return descriptor
    }

    private static func listening(_ descriptor: consuming Descriptor) throws(EventLoopError) -> Descriptor {
        guard listen(descriptor.rawValue, backlog) == 0 else { throw .system(call: "listen", errno: errno) }
        return descriptor
    }
}

/// A descriptor that is handed from thread to thread, and closes with its last reference.
public final class SharedDescriptor: Sendable {
    let descriptor: Descriptor
    init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }

    /// The address it is bound to, with the port the kernel chose.
    public var address: SocketAddress? { SocketAddress.local(of: descriptor.rawValue) }
}
