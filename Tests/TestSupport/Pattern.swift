// SPDX-License-Identifier: Apache-2.0

/// A body of any length whose every byte depends on its place, so that a lost, doubled or swapped piece shows.
///
/// Made and compared by blocks: a GiB takes no memory and little time even in a debug build.
public struct Pattern: Sendable {
    /// A prime, so that blocks do not fall together with anyone's buffers.
    private static let period = 65_521
    private static let block: [UInt8] = {
        var state: UInt32 = 0x9e37_79b9
        return (0..<period * 2).map { index in
            if index == period { state = 0x9e37_79b9 }
            state ^= state << 13
            state ^= state >> 17
            state ^= state << 5
            return UInt8(truncatingIfNeeded: state)
        }
    }()

    public private(set) var position = 0
    /// The place of the first piece that differs; nil while all is well.
    public private(set) var firstDifference: Int?

    public init() {}

    public static func bytes(_ count: Int) -> [UInt8] {
        var pattern = Pattern()
        return pattern.next(count)
    }

    /// The next bytes of the pattern.
    public mutating func next(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            let offset = position % Self.period
            let piece = min(count - bytes.count, Self.period)
            bytes += Self.block[offset..<offset + piece]
            position += piece
        }
        return bytes
    }

    /// Takes the bytes for the next ones and remembers a difference.
    public mutating func check(_ bytes: [UInt8]) {
        let place = position
        // Arrays of equal bytes compare as memory.
        if next(bytes.count) != bytes && firstDifference == nil { firstDifference = place }
    }
}
