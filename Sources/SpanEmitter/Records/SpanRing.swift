// SPDX-License-Identifier: Apache-2.0
public import Synchronization

/// Finished spans between one worker, which pushes, and the reporter, which drains. Never blocks.
///
/// `unsafe` because a safe array would check exclusive access and reference counts on the request
/// path: the slots between tail and head belong to the reporter, all others to the worker, and the
/// two counters hand them over.
@safe
public final class SpanRing: @unchecked Sendable {
    @usableFromInline let slots: UnsafeMutablePointer<SpanRecord>
    @usableFromInline let mask: UInt64
    /// The tail for which the reporter was last woken; the worker's own.
    private var wokenTail = UInt64.max
    /// The tail as the worker last saw it, so that most pushes do not touch the reporter's cache line.
    @usableFromInline var seenTail: UInt64 = 0
    /// Records pushed since the start; written by the worker.
    @usableFromInline let head = Atomic<UInt64>(0)
    /// Records refused since the start; written by the worker.
    @usableFromInline let refused = Atomic<UInt64>(0)
    /// Records given up without a look at the ring; written by the worker.
    private let shed = Atomic<UInt64>(0)
    /// Keeps the two writers 128 bytes apart: neighbouring cache lines are fetched in pairs.
    private let padding = InlineArray<16, UInt64>(repeating: 0)
    /// Records drained since the start; written by the reporter.
    @usableFromInline let tail = Atomic<UInt64>(0)

    /// - Parameter capacity: rounded up to a power of two, at least 2.
    public init(capacity: Int = 8192) {
        var size = 2
        while size < min(capacity, 1 << 20) { size *= 2 }
        mask = UInt64(size - 1)
        unsafe slots = .allocate(capacity: size)
        unsafe slots.initialize(repeating: SpanRecord(), count: size)
    }

    /// The worker only: copies a record in, or counts it as dropped when there is no room.
    ///
    /// - Parameter change: what differs from `record`, made in the slot.
    /// - Returns: whether the reporter should be woken: the ring is a quarter full and it has not
    ///   been told since it last drained. The rest lasts while the thread waits for a busy processor.
    @discardableResult
    @inlinable
    public func push(_ record: borrowing SpanRecord, _ change: (inout SpanRecord) -> Void = { _ in }) -> Bool {
        let position = head.load(ordering: .relaxed)
        if position &- seenTail > mask >> 2 { seenTail = tail.load(ordering: .acquiring) }
        let used = position &- seenTail
        guard used <= mask else {
            refused.store(refused.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
            return wake()
        }
        let slot = unsafe slots + Int(position & mask)
        unsafe slot.pointee = copy record
        unsafe change(&slot.pointee)
        head.store(position &+ 1, ordering: .releasing)
        return used >= mask >> 2 ? wake() : false
    }

    /// The worker only: counts a record that is given up for want of memory elsewhere.
    public func shedOne() { shed.store(shed.load(ordering: .relaxed) &+ 1, ordering: .relaxed) }

    @usableFromInline
    func wake() -> Bool {
        guard wokenTail != seenTail else { return false }
        wokenTail = seenTail
        return true
    }

    /// The reporter only: lends up to `limit` waiting records, oldest first, then frees their slots.
    ///
    /// - Returns: how many there were.
    func drain(limit: Int, _ body: (borrowing SpanRecord) -> Void) -> Int {
        let start = tail.load(ordering: .relaxed)
        let end = head.load(ordering: .acquiring)
        let count = min(Int(end &- start), limit)
        for offset in 0..<UInt64(count) { unsafe body(slots[Int((start &+ offset) & mask)]) }
        tail.store(start &+ UInt64(count), ordering: .releasing)
        return count
    }

    /// Any thread. Never falls.
    var pushedCount: UInt64 { head.load(ordering: .acquiring) }
    /// Any thread: records that found the ring full.
    public var droppedCount: UInt64 { refused.load(ordering: .relaxed) }
    /// Any thread: records given up by ``shedOne()``.
    public var shedCount: UInt64 { shed.load(ordering: .relaxed) }

    deinit { unsafe slots.deallocate() }
}
