// SPDX-License-Identifier: Apache-2.0

/// Where some bytes lie in a receive buffer. A reference without a reference count:
/// it is valid until the buffer consumes past it.
public struct ByteRange: BitwiseCopyable, Equatable, Sendable {
    public var start: UInt32
    public var count: UInt32

    /// The range of no bytes; used where a part of a message is absent.
    public static let empty = ByteRange(start: 0, count: 0)

    public init(start: UInt32, count: UInt32) {
        self.start = start
        self.count = count
    }

    /// Offsets lie inside a receive buffer, so they are far below 4 GiB.
    public init(_ range: Range<Int>) {
        start = UInt32(truncatingIfNeeded: range.lowerBound)
        count = UInt32(truncatingIfNeeded: range.count)
    }

    /// Of two numbers that are not negative.
    init(at start: Int, count: Int) {
        self.start = UInt32(truncatingIfNeeded: start)
        self.count = UInt32(truncatingIfNeeded: count)
    }

    @inlinable public var range: Range<Int> { Int(start)..<Int(start) + Int(count) }
    @inlinable public var isEmpty: Bool { count == 0 }
    /// The offset just after the last byte.
    @inlinable public var end: Int { Int(start) + Int(count) }
}
