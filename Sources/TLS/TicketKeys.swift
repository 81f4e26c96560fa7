// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import EventLoop

/// The keys that seal the session tickets of one listener (RFC 5077 §4), the same for all workers. A new one is made
/// every twelve hours; tickets of the two before it are still taken, and renewed.
@safe
public final class TicketKeys: Sendable {
    private static let lifeMicroseconds: UInt64 = 12 * 3600 * 1_000_000
    private static let keptCount = 3

    struct Key {
        static let nameCount = 16
        var name: [UInt8]
        var cipherKey: [UInt8]
        var macKey: [UInt8]
        var madeMicroseconds: UInt64
    }

    /// The newest first.
    private let keys = Locked<[Key]>([])

    public init() {}

    /// The key for a new ticket; `nil` if no random bytes can be had.
    func newest(nowMicroseconds: UInt64 = Clock.monotonicMicroseconds) -> Key? {
        keys.withLock { keys in
            if let first = keys.first, nowMicroseconds &- first.madeMicroseconds < Self.lifeMicroseconds {
                return first
            }
            guard let made = Self.make(nowMicroseconds) else { return keys.first }
            keys.insert(made, at: 0)
            if keys.count > Self.keptCount { keys.removeLast() }
            return made
        }
    }

    /// The key of a ticket that has come back, and whether it is still the newest.
    func find(_ name: [UInt8]) -> (key: Key, isNewest: Bool)? {
        keys.withLock { keys in
            guard let index = keys.firstIndex(where: { $0.name == name }) else { return nil }
            return (keys[index], index == 0)  // bounded: the line above
        }
    }

    private static func make(_ now: UInt64) -> Key? {
        var bytes = [UInt8](repeating: 0, count: Key.nameCount + 32 + 32)
        let count = CInt(bytes.count)
        guard unsafe bytes.withUnsafeMutableBufferPointer({ unsafe RAND_bytes($0.baseAddress, count) }) == 1 else {
            return nil
        }
        return Key(
            name: Array(bytes[..<16]), cipherKey: Array(bytes[16..<48]), macKey: Array(bytes[48...]),
            madeMicroseconds: now)
    }
}
