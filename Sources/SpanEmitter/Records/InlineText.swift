// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// Text of at most `capacity` bytes that lives inside its record: no reference, no allocation.
public struct InlineText<let capacity: Int>: BitwiseCopyable, Sendable {
    private var length: UInt8 = 0
    private var bytes = InlineArray<capacity, UInt8>(repeating: 0)

    /// No text.
    public init() {}

    /// Longer text is cut to what fits, at most 255 bytes, and never inside a UTF-8 sequence.
    public init(_ text: Span<UInt8>) {
        let kept = Self.cut(text)
        length = UInt8(truncatingIfNeeded: kept)
        bytes = InlineArray { out in
            out.write(text.extracting(first: kept))
            out.append(repeating: 0, count: out.freeCapacity)
        }
    }

    public var count: Int { Int(length) }
    public var isEmpty: Bool { length == 0 }

    /// The text.
    public var span: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get { bytes.span.extracting(first: Int(length)) }
    }

    private static func cut(_ text: Span<UInt8>) -> Int {
        let room = min(capacity, 255)
        guard text.count > room else { return text.count }
        var end = room
        // A sequence has at most three continuation bytes; more of them are no UTF-8 and may be cut anywhere.
        while end > 0, room - end < 4, text[end] & 0xC0 == 0x80 { end -= 1 }
        return room - end < 4 ? end : room
    }
}
