// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Finished spans between one worker, which pushes, and the reporter, which drains. Never blocks.
///
/// `unsafe` because a safe array would check exclusive access and reference counts on the request
/// path: the slots between tail and head belong to the reporter, all others to the worker, and the
/// two counters hand them over.
// bounded: places are masked to the number of slots, a power of two
@safe
public final class SpanRing: @unchecked Sendable {
    let slots: UnsafeMutablePointer<SpanRecord>
    let mask: UInt64
    /// How many records may wait before the reporter is woken.
    private let wakeCount: UInt64
    /// Woken so early, and beginning again at the first slot, worker and reporter pass records through a cache and not
    /// through memory; and where they share a processor, the worker is not kept waiting for long.
    private static let usualWakeCount: UInt64 = 128
    /// So far from the first slot an empty ring begins again.
    private static let restartCount: UInt64 = 64
    /// The tail for which the reporter was last woken; the worker's own.
    private var wokenTail = UInt64.max
    /// The tail as the worker last saw it, so that most pushes do not touch the reporter's cache line.
    var seenTail: UInt64 = 0
    /// The count of records whose slot is the first one; written by the worker while the ring is empty, and so before
    /// the head that makes the reporter ask for it.
    private let origin = Atomic<UInt64>(0)
    /// Records pushed since the start; written by the worker.
    let head = Atomic<UInt64>(0)
    /// Spans pushed since the start, never behind the records; written by the worker.
    let pushed = Atomic<UInt64>(0)
    /// Spans refused since the start; written by the worker.
    let refused = Atomic<UInt64>(0)
    /// Spans given up without a look at the ring; written by the worker.
    private let givenUp = Atomic<UInt64>(0)
    /// Keeps the two writers 128 bytes apart: neighbouring cache lines are fetched in pairs.
    private let padding = InlineArray<16, UInt64>(repeating: 0)
    /// Records drained since the start; written by the reporter.
    let tail = Atomic<UInt64>(0)

    /// - Parameter capacity: rounded up to a power of two, at least 2.
    public init(capacity: Int = 8192) {
        var size = 2
        while size < min(capacity, 1 << 20) { size *= 2 }
        mask = UInt64(size - 1)
        wakeCount = min(mask >> 2, Self.usualWakeCount)
        unsafe slots = .allocate(capacity: size)
        unsafe slots.initialize(repeating: SpanRecord(), count: size)
    }

    /// The worker only: copies a record in, or counts its spans as dropped when there is no room.
    ///
    /// - Parameter record: not changed; a borrowed value would be copied once more on its way.
    /// - Returns: whether the reporter should be woken: 128 records wait, or the ring is a quarter full, and it has not
    ///   been told since it last drained. The rest lasts while the thread waits for a busy processor.
    @discardableResult
    public func push(_ record: inout SpanRecord) -> Bool {
        let position = head.load(ordering: .relaxed)
        let first = beginning(position)
        if position &- seenTail >= wakeCount { seenTail = tail.load(ordering: .acquiring) }
        let used = position &- seenTail
        guard used <= mask else {
            refused.store(refused.load(ordering: .relaxed) &+ record.spanCount, ordering: .relaxed)
            return wake()
        }
        let size = SpanRecord.fixedByteCount + record.texts.count
        let slot = unsafe slots + Int((position &- first) & mask)
        unsafe withUnsafePointer(to: &record) { source in
            unsafe UnsafeMutableRawPointer(slot).copyMemory(from: source, byteCount: size)
        }
        if record.grpcStatus.isCall { unsafe slot.pointee.messages = record.messages }
        pushed.store(pushed.load(ordering: .relaxed) &+ record.spanCount, ordering: .relaxed)
        head.store(position &+ 1, ordering: .releasing)
        return used >= wakeCount ? wake() : false
    }

    /// The record whose slot is the first one. It is this one if the ring is empty: the reporter asks again when it
    /// sees a later head.
    private func beginning(_ position: UInt64) -> UInt64 {
        let first = origin.load(ordering: .relaxed)
        guard position &- first >= Self.restartCount, tail.load(ordering: .acquiring) == position else { return first }
        origin.store(position, ordering: .relaxed)
        seenTail = position
        return position
    }

    /// The worker only: counts the spans of a record that is given up for want of memory elsewhere.
    ///
    /// - Parameter record: not changed, as in ``push(_:)``.
    public func shed(_ record: inout SpanRecord) {
        givenUp.store(givenUp.load(ordering: .relaxed) &+ record.spanCount, ordering: .relaxed)
    }

    private func wake() -> Bool {
        guard wokenTail != seenTail else { return false }
        wokenTail = seenTail
        return true
    }

    /// The reporter only: how many records wait, and how many spans they are; at most `limit` records.
    func waiting(limit: Int) -> (records: Int, spans: Int) {
        let start = tail.load(ordering: .relaxed)
        let records = min(Int(head.load(ordering: .acquiring) &- start), limit)
        let first = start &- origin.load(ordering: .relaxed)
        var spans = records
        for offset in 0..<UInt64(records) where unsafe slots[Int((first &+ offset) & mask)].hasAttempt { spans += 1 }
        return (records, spans)
    }

    /// The reporter only: lends so many waiting records, oldest first.
    ///
    /// - Parameter body: leaves its record as it was.
    func visit(_ records: Int, _ body: (inout SpanRecord) -> Void) {
        let first = tail.load(ordering: .relaxed) &- origin.load(ordering: .relaxed)
        for offset in 0..<UInt64(records) { unsafe body(&slots[Int((first &+ offset) & mask)]) }
    }

    /// The reporter only: gives the slots of the oldest waiting records back to the worker.
    func free(_ records: Int) {
        tail.store(tail.load(ordering: .relaxed) &+ UInt64(records), ordering: .releasing)
    }

    /// Any thread: spans pushed so far. Never falls.
    var pushedCount: UInt64 { pushed.load(ordering: .acquiring) }
    /// Any thread: spans that found the ring full.
    public var droppedCount: UInt64 { refused.load(ordering: .relaxed) }
    /// Any thread: spans given up by ``shed(_:)``.
    public var shedCount: UInt64 { givenUp.load(ordering: .relaxed) }

    deinit { unsafe slots.deallocate() }
}
