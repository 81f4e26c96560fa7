// SPDX-License-Identifier: Apache-2.0

/// Counts the messages of one direction of a gRPC call as its bytes pass. Each is one flag byte, four bytes
/// of length, most significant first, and so many bytes; DATA frames cut them anywhere.
///
/// A message counts when its last byte has come. Messages' own bytes are not looked at.
struct MessageCounter: BitwiseCopyable, Equatable {
    private static let prefixCount: UInt8 = 5

    /// Whole messages so far; stays at the largest number.
    private(set) var count: UInt32 = 0
    /// All bytes so far, prefixes and a cut message included.
    private(set) var byteCount: UInt64 = 0
    /// Monotonic microseconds at which the first message was whole; 0 before it.
    private(set) var firstMicroseconds: UInt64 = 0
    /// Monotonic microseconds at which the last message so far was whole; 0 before the first.
    private(set) var lastMicroseconds: UInt64 = 0
    /// Bytes of the present message that have not come yet, as far as its prefix tells.
    private var left: UInt32 = 0
    /// Bytes of the present prefix that have come.
    private var prefixSeen: UInt8 = 0

    /// A message has begun and is not whole.
    var isInside: Bool { prefixSeen > 0 }

    /// - Parameter now: monotonic microseconds; asked for only if a message ends in these bytes.
    // bounded: the offset stays below the count
    mutating func passed(_ bytes: Span<UInt8>, at now: @autoclosure () -> UInt64) {
        byteCount &+= UInt64(bytes.count)
        var offset = 0
        var ended: UInt32 = 0
        while offset < bytes.count {
            if prefixSeen < Self.prefixCount {
                // The flag byte is shifted out by the four behind it.
                left = left << 8 | UInt32(bytes[offset])
                prefixSeen += 1
                offset += 1
            } else {
                let step = min(Int(left), bytes.count - offset)
                left -= UInt32(truncatingIfNeeded: step)
                offset += step
            }
            if prefixSeen == Self.prefixCount, left == 0 {
                prefixSeen = 0
                ended &+= 1
            }
        }
        if ended > 0 { note(ended, at: now()) }
    }

    private mutating func note(_ ended: UInt32, at now: UInt64) {
        if count == 0 { firstMicroseconds = now }
        lastMicroseconds = now
        count = ended > .max - count ? .max : count + ended
    }
}
