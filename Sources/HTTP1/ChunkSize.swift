// SPDX-License-Identifier: Apache-2.0

/// The most bytes ``writeChunkSize(_:into:)`` appends.
public let maximumChunkSizeBytes = 18

/// Appends `count` in lower-case hex without leading zeros, and CRLF (RFC 9112 §7.1).
/// `out` has room for ``maximumChunkSizeBytes``.
public func writeChunkSize(_ count: Int, into out: inout OutputSpan<UInt8>) {
    var shift = max(0, (Int.bitWidth - 1 - count.leadingZeroBitCount) & ~3)
    while shift >= 0 {
        let digit = UInt8(truncatingIfNeeded: count >> shift) & 0xF
        out.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        shift -= 4
    }
    out.append(carriageReturn)
    out.append(lineFeed)
}
