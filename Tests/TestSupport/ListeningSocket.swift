// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A listening socket on loopback, port 0 unless told, and a thread that accepts.
final class ListeningSocket: Sendable {
    let address: SocketAddress
    /// -1 once closed: by then the number may be another test's socket.
    private let descriptor: Observed<Int32>
    /// Bound and never listening: the port of a stopped listener refuses, and the kernel gives it to no listener of another
    /// test. It is closed only where nothing was stopped; a test may forget this object before the port. -1 for a unix socket.
    private let place: Int32
    private let stopped = Observed(false)

    init(_ wanted: SocketAddress, backlog: Int32 = 1024) throws {
        if case .unix = wanted {
            place = -1
            address = wanted
        } else {
            place = try Self.socket(boundTo: wanted)
            address = Self.bound(place, wanted)
        }
        do {
            let fd = try Self.socket(boundTo: address)
            guard listen(fd, backlog) == 0 else {
                let error = SocketError.last("listen on \(wanted)")
                _ = Glibc.close(fd)
                throw error
            }
            descriptor = Observed(fd)
        } catch {
            if place >= 0 { _ = Glibc.close(place) }
            throw error
        }
    }

    deinit { if place >= 0, !stopped.current { _ = Glibc.close(place) } }

    fileprivate static func socket(boundTo address: SocketAddress) throws -> Int32 {
        let fd = Glibc.socket(address.family, SOCK_STREAM.integer | SOCK_CLOEXEC.integer, 0)
        guard fd >= 0 else { throw SocketError.last("socket") }
        var one: Int32 = 1
        unsafe setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        guard unsafe address.withKernelForm({ unsafe Glibc.bind(fd, $0, $1) }) == 0 else {
            let error = SocketError.last("listen on \(address)")
            _ = Glibc.close(fd)
            throw error
        }
        return fd
    }

    /// Calls `serve` with each connection, each on a thread of its own, until `stop`.
    func accept(_ serve: @escaping @Sendable (Peer) -> Void) {
        let (descriptor, listener) = (descriptor, descriptor.current)
        Thread.detachNewThread {
            while true {
                let accepted = Glibc.accept(listener, nil, nil)
                if accepted < 0 {
                    if errno == EINTR || errno == ECONNABORTED { continue }
                    guard [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(errno) else { break }
                    usleep(10_000)  // until other tests have closed some
                    continue
                }
                _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
                let peer = Peer(adopting: accepted)
                Thread.detachNewThread { serve(peer) }
            }
            descriptor.change {
                _ = Glibc.close($0)
                $0 = -1
            }
        }
    }

    /// Later connects are refused; the accepting thread ends and closes the socket. Without effect after that.
    func stop() {
        stopped.change { $0 = true }
        descriptor.change { if $0 >= 0 { _ = shutdown($0, Int32(SHUT_RDWR)) } }
    }

    static func bound(_ descriptor: Int32, _ wanted: SocketAddress) -> SocketAddress {
        var storage = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        unsafe withUnsafeMutablePointer(to: &storage) {
            _ = unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &length)
            }
        }
        // The port stands at the same place in both families.
        let port = UInt16(bigEndian: storage.sin6_port)
        switch wanted {
        case .ipv4: return .ipv4(port: port)
        case .ipv6: return .ipv6(port: port)
        case .unix: return wanted
        }
    }
}

extension SocketAddress {
    /// A port on loopback for a program that is told where to listen: nobody listens there, and the kernel gives it to no
    /// test's listener and no connection while this process lives. The program has to set SO_REUSEADDR, as servers do.
    public static func reserved() throws -> SocketAddress {
        let place = try ListeningSocket.socket(boundTo: .ipv4(port: 0))
        return ListeningSocket.bound(place, .ipv4(port: 0))
    }
}
