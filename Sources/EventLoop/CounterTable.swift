// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Numbers that one thread writes and any thread reads, at the price of plain memory: no locked
/// instruction, and cache lines of its own. An index outside the table is ignored.
@safe
public final class CounterTable: @unchecked Sendable {
    private static let cacheLine = 64
    private let cells: UnsafeMutablePointer<Atomic<UInt64>>
    public let count: Int

    /// All numbers are 0.
    public init(count: Int) {
        self.count = max(0, count)
        let size = self.count * MemoryLayout<Atomic<UInt64>>.stride
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: (size / Self.cacheLine + 1) * Self.cacheLine, alignment: Self.cacheLine)
        unsafe cells = memory.bindMemory(to: Atomic<UInt64>.self, capacity: self.count)
        for index in 0..<self.count { unsafe (cells + index).initialize(to: Atomic(0)) }
    }

    /// Any thread: the number as it was a moment ago.
    public subscript(index: Int) -> UInt64 {
        guard index >= 0, index < count else { return 0 }
        return unsafe cells[index].load(ordering: .relaxed)
    }

    /// The writing thread only: nobody else writes, so a load and a store lose nothing.
    public func add(_ index: Int, _ number: UInt64 = 1) {
        guard index >= 0, index < count else { return }
        unsafe cells[index].store(cells[index].load(ordering: .relaxed) &+ number, ordering: .relaxed)
    }

    /// The writing thread only, for what goes up and down.
    public func subtract(_ index: Int, _ number: UInt64 = 1) { add(index, 0 &- number) }

    /// The writing thread only.
    public func set(_ index: Int, _ number: UInt64) {
        guard index >= 0, index < count else { return }
        unsafe cells[index].store(number, ordering: .relaxed)
    }

    deinit {
        for index in 0..<count { unsafe (cells + index).deinitialize(count: 1) }
        unsafe UnsafeMutableRawPointer(cells).deallocate()
    }
}
