// SPDX-License-Identifier: Apache-2.0
import EventLoop

extension Configuration {
    /// The callers of a listener whose word counts. All others are outsiders.
    struct TrustedPeers: Sendable, Equatable {
        var blocks: [AddressBlock]
        /// Whoever reaches our unix sockets; files decide who that is.
        var includesUnix: Bool

        func contains(_ peer: SocketAddress) -> Bool {
            peer.family == .unix ? includesUnix : blocks.contains { $0.contains(peer) }
        }
    }
}
