// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A port whose accept queue is full: the kernel drops every further SYN, as a black hole would.
public final class FullListener: @unchecked Sendable {
    public let address: SocketAddress
    private let descriptor: Int32
    private let filler: Peer

    public init() throws {
        descriptor = socket(AF_INET, SOCK_STREAM.integer | SOCK_CLOEXEC.integer, 0)
        guard descriptor >= 0 else { throw SocketError.last("socket") }
        let number = descriptor
        let wanted = SocketAddress.ipv4(port: 0)
        // A queue of 0 holds one connection.
        guard unsafe wanted.withKernelForm({ unsafe Glibc.bind(number, $0, $1) }) == 0, listen(number, 0) == 0 else {
            throw SocketError.last("listen")
        }
        address = ListeningSocket.bound(number, wanted)
        filler = try Peer(to: address)
    }

    /// Accepts the connection that filled the queue, so that a waiting one gets in when its SYN comes again
    /// (after 1 s), then that one.
    public func acceptWaiting() throws -> Peer {
        _ = try accepted()
        return try accepted()
    }

    private func accepted() throws -> Peer {
        let number = accept(descriptor, nil, nil)
        guard number >= 0 else { throw SocketError.last("accept") }
        return Peer(adopting: number)
    }

    deinit { _ = Glibc.close(descriptor) }
}
