// SPDX-License-Identifier: Apache-2.0

/// A constant hash table from texts to numbers. Several key spaces share one table.
///
/// Open addressing, at most half full. Keys come from the configuration alone, so no peer can make
/// them collide.
// bounded: positions are masked to the number of slots, a power of two; slots lie in the pool
struct TextIndex: Sendable {
    private struct Slot: BitwiseCopyable {
        var hash: UInt64
        var space: Int32
        var start: Int32
        var count: Int32
        /// -1: the slot is free.
        var value: Int32
    }

    private var slots: [Slot]
    private var pool: [UInt8] = []

    /// - Parameter capacity: how many texts will be inserted at most.
    init(capacity: Int) {
        var size = 2
        while size < capacity * 2 { size *= 2 }
        slots = Array(repeating: Slot(hash: 0, space: 0, start: 0, count: 0, value: -1), count: size)
    }

    var isEmpty: Bool { pool.isEmpty }

    /// The number of this text, which is `value` unless it was there before.
    mutating func insert(_ text: [UInt8], space: Int, value: Int) -> Int {
        let found = find(text.span, space: space)
        guard found < 0 else { return found }
        let hash = Self.hash(text.span, space)
        var position = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[position].value >= 0 { position = (position + 1) & (slots.count - 1) }
        slots[position] = Slot(
            hash: hash, space: Int32(space), start: Int32(pool.count), count: Int32(text.count), value: Int32(value))
        pool += text
        return value
    }

    /// The number of a text whose letters are compared as lower case; -1 if it is not there.
    func find(_ text: Span<UInt8>, space: Int, foldsCase: Bool = false) -> Int {
        let hash = Self.hash(text, space, foldsCase: foldsCase)
        let slots = slots.span
        var position = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[position].value >= 0 {
            let slot = slots[position]
            if slot.hash == hash, slot.space == space, matches(slot, text, foldsCase) { return Int(slot.value) }
            position = (position + 1) & (slots.count - 1)
        }
        return -1
    }

    private func matches(_ slot: Slot, _ text: Span<UInt8>, _ foldsCase: Bool) -> Bool {
        guard Int(slot.count) == text.count else { return false }
        let pool = pool.span
        for index in text.indices {
            let byte = foldsCase ? lowercased(text[index]) : text[index]
            if pool[Int(slot.start) + index] != byte { return false }
        }
        return true
    }

    /// FNV-1a, its high bits folded into the low ones that choose the slot.
    private static func hash(_ text: Span<UInt8>, _ space: Int, foldsCase: Bool = false) -> UInt64 {
        var hash = 0xcbf2_9ce4_8422_2325 ^ UInt64(truncatingIfNeeded: space)
        for index in text.indices {
            hash = (hash ^ UInt64(foldsCase ? lowercased(text[index]) : text[index])) &* 0x100_0000_01b3
        }
        return hash ^ (hash >> 32)
    }
}

/// ASCII only.
@inline(__always)
func lowercased(_ byte: UInt8) -> UInt8 {
    byte &- 0x41 < 26 ? byte | 0x20 : byte
}
