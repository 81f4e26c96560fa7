// SPDX-License-Identifier: Apache-2.0

/// What waits for one collector, oldest first: encoded spans, in batches of at most one post.
/// Bounded by spans and by bytes; when full the newest span is dropped.
struct SpanQueue {
    private let spanLimit: Int
    private let byteLimit: Int
    private let batchBytes: Int
    private var closed: [SpanBatch] = []
    private var open = SpanBatch()
    private var spare: [SpanBatch] = []
    /// Spans held, those of a batch on its way included.
    private(set) var spanCount = 0
    private var byteCount = 0
    /// When the oldest span of the open batch came; monotonic microseconds.
    private var openedMicroseconds: UInt64 = 0

    init(_ configuration: ExporterConfiguration) {
        spanLimit = configuration.queueSpans
        byteLimit = configuration.queueBytes
        batchBytes = configuration.batchBytes
    }

    /// Encodes one span at the end; `false` when there is no room.
    mutating func append(
        _ record: borrowing SpanRecord, with encoder: inout SpanEncoder, nowMicroseconds: UInt64
    ) -> Bool {
        guard spanCount < spanLimit, byteCount < byteLimit else { return false }
        if open.count == 0 { openedMicroseconds = nowMicroseconds }
        let before = open.bytes.count
        encoder.encode(record, into: &open.bytes)
        open.spanWritten()
        spanCount += 1
        byteCount += open.bytes.count - before
        if open.bytes.count >= batchBytes { closeOpen() }
        return true
    }

    /// Whether a post is due: a batch is full, or its first span has waited long enough.
    func isDue(nowMicroseconds: UInt64, flushMicroseconds: UInt64) -> Bool {
        !closed.isEmpty || (open.count > 0 && nowMicroseconds &- openedMicroseconds >= flushMicroseconds)
    }

    var isEmpty: Bool { spanCount == 0 }

    /// The batch to post next. It stays in the queue until ``removeFirst()``.
    mutating func first() -> SpanBatch? {
        if closed.isEmpty, open.count > 0 { closeOpen() }
        return closed.first
    }

    /// The first batch has been delivered, or given up.
    mutating func removeFirst() {
        guard !closed.isEmpty else { return }
        let batch = closed.removeFirst()
        spanCount -= batch.count
        byteCount -= batch.bytes.count
        batch.removeAll()
        if spare.count < 4 { spare.append(batch) }
    }

    /// The collector finds the first batch too large.
    mutating func splitFirst() {
        guard let first = closed.first, first.count > 1 else { return }
        closed.insert(first.splitHalf(), at: 1)
    }

    private mutating func closeOpen() {
        closed.append(open)
        open = spare.popLast() ?? SpanBatch()
    }
}
