// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1

/// How often a request has passed this proxy already, as far as its fields tell (RFC 9110 §7.6.3).
///
/// A proxy whose upstream is, in the end, itself would send one request around until nothing is left.
enum HopCount {
    /// Passes before a request is answered with 508.
    static let limit = 10

    private static let name = "propagating-proxy"

    /// Whether a Via field names proxies of this kind ``limit`` times.
    static func loops(via: Span<UInt8>) -> Bool {
        ForwardedList.count(in: via) { entry in
            guard entry.count > name.utf8.count else { return false }
            return lowercasedEquals(entry.extracting(last: name.utf8.count), name)
        } >= limit
    }

    /// Whether a caller's own address stands in X-Forwarded-For so often as only rounds bring it there.
    ///
    /// - Parameter peer: empty for a unix socket.
    static func count(of peer: borrowing IPText, inForwardedFor list: Span<UInt8>) -> Int {
        let address = peer.span
        return ForwardedList.count(in: list) { entry in
            address.isEmpty ? lowercasedEquals(entry, "unknown") : isEqual(entry, address)
        }
    }

    private static func isEqual(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        for index in left.indices where left[index] != right[index] { return false }  // bounded: counts are equal
        return true
    }
}
