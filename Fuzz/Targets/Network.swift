// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Glibc

/// Carries bytes between two sockets as an input says, and may change them on the way.
final class Network {
    private let outer: (CInt, CInt)
    private let inner: (CInt, CInt)
    private var hasEnded = (false, false)
    /// Nothing is changed or lost.
    var isHonest = true
    private(set) var hasMeddled = false

    /// - Parameter isSmall: the kernel takes few bytes at a time.
    init(isSmall: Bool = false) {
        let (one, near) = Self.pair(isSmall)
        let (other, far) = Self.pair(isSmall)
        outer = (one, other)
        inner = (near, far)
    }

    deinit {
        _ = close(inner.0)
        _ = close(inner.1)
    }

    /// Each end is to be taken once.
    func takeFirst() -> Descriptor { Descriptor(owning: outer.0) }
    func takeSecond() -> Descriptor { Descriptor(owning: outer.1) }

    /// To the first end; nothing comes from the second.
    func say(_ bytes: ArraySlice<UInt8>) {
        _ = close(outer.1)
        _ = unsafe bytes.withUnsafeBytes { unsafe send(inner.0, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
        _ = shutdown(inner.0, CInt(SHUT_WR))
    }

    private static func pair(_ isSmall: Bool) -> (CInt, CInt) {
        var numbers: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
        _ = unsafe socketpair(AF_UNIX, kind, 0, &numbers)
        var size: CInt = 4608
        if isSmall {
            for number in numbers {
                _ = unsafe setsockopt(number, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<CInt>.size))
            }
        }
        return (numbers[0], numbers[1])  // bounded: two were made
    }

    /// One step: which way, how many bytes, and what happens to them.
    func carry(_ feed: inout Feed) {
        let choice = feed.byte()
        let count = choice & 0x40 == 0 ? Int(choice & 0x3F) + 1 : 1 << Int(choice & 15)
        let change = isHonest ? 0 : feed.byte()
        _ = carry(isForth: choice & 0x80 == 0, count, change)
    }

    /// All that waits, both ways.
    ///
    /// - Returns: whether there was something.
    func carryAll() -> Bool {
        let forth = carry(isForth: true, 1 << 16, 0)
        let back = carry(isForth: false, 1 << 16, 0)
        return forth || back
    }

    private func carry(isForth: Bool, _ limit: Int, _ change: UInt8) -> Bool {
        let (source, target) = isForth ? inner : (inner.1, inner.0)
        var bytes = [UInt8](repeating: 0, count: limit)
        let waiting = unsafe bytes.withUnsafeMutableBytes {
            unsafe recv(source, $0.baseAddress, limit, CInt(MSG_PEEK))
        }
        guard waiting > 0 else {
            if waiting == 0 { end(isForth, target) }
            return false
        }
        var sent = Array(bytes.prefix(waiting))
        meddle(&sent, change)
        let taken = unsafe sent.withUnsafeBytes {
            unsafe send(target, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
        }
        if taken < 0, errno == EAGAIN { return false }
        // What the other end does not take any more is lost.
        let gone = taken < 0 || hasChanged(change) ? waiting : taken
        _ = unsafe bytes.withUnsafeMutableBytes { unsafe recv(source, $0.baseAddress, gone, 0) }
        return true
    }

    private func hasChanged(_ change: UInt8) -> Bool { change & 0x0F < 5 && change > 0 }

    private func meddle(_ bytes: inout [UInt8], _ change: UInt8) {
        guard hasChanged(change) else { return }
        hasMeddled = true
        let place = Int(change >> 4) * bytes.count / 16
        switch change & 0x0F {
        case 0: bytes.removeAll()
        case 1: bytes[place] ^= 1
        case 2: bytes.insert(change, at: place)
        case 3: bytes.removeSubrange(place...)
        default: bytes += bytes
        }
    }

    private func end(_ isForth: Bool, _ target: CInt) {
        if isForth ? hasEnded.0 : hasEnded.1 { return }
        if isForth { hasEnded.0 = true } else { hasEnded.1 = true }
        _ = shutdown(target, CInt(SHUT_WR))
    }
}
