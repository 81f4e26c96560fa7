// SPDX-License-Identifier: Apache-2.0

/// Encoded spans in a row, which one post may carry.
final class SpanBatch {
    private(set) var bytes = ByteWriter(capacity: 4096)
    /// Of ``bytes``: the first one to send.
    private var skippedCount = 0
    /// Where each span ends.
    private(set) var ends: [Int] = []

    var count: Int { ends.count }
    var byteCount: Int { ends.last ?? 0 }

    /// Appends one span.
    ///
    /// - Returns: its bytes; 0 if it would take more than `room`.
    func append(_ span: inout SpanRecord, encoder: SpanEncoder, room: Int) -> Int {
        let start = byteCount
        encoder.encode(&span, into: &bytes)
        let added = bytes.count - start
        guard added <= room else {
            bytes.truncate(to: start)
            return 0
        }
        ends.append(bytes.count)
        return added
    }

    /// Writes what precedes the spans into `prefix`, and the rest of the frame around them, until ``takeOutOfFrame()``.
    func putInto(_ frame: BatchFrame, prefix: inout ByteWriter) {
        skippedCount = frame.skippedCount
        frame.writePrefix(spans: count, byteCount: byteCount - skippedCount, into: &prefix)
        bytes.append(frame.suffix)
    }

    /// The spans may be sent once more, in another company.
    func takeOutOfFrame() { bytes.truncate(to: byteCount) }

    /// Bytes of the spans with what follows them.
    var framedCount: Int { bytes.count - skippedCount }

    /// Lends the spans with what follows them.
    func withFramed<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
        lend(bytes, body)
    }

    private func lend<Result>(_ bytes: borrowing ByteWriter, _ body: (Span<UInt8>) -> Result) -> Result {
        body(bytes.span.extracting(droppingFirst: skippedCount))
    }

    /// Forgets the spans and keeps the memory.
    func removeAll() {
        bytes.truncate(to: 0)
        ends.removeAll(keepingCapacity: true)
    }

    /// Two batches of half the spans each; `nil` for a single span.
    func halved() -> (SpanBatch, SpanBatch)? {
        guard count > 1 else { return nil }
        let middle = count / 2
        return (part(0..<middle), part(middle..<count))
    }

    private func part(_ range: Range<Int>) -> SpanBatch {
        let start = range.lowerBound == 0 ? 0 : ends[range.lowerBound - 1]
        let end = ends[range.upperBound - 1]
        let part = SpanBatch()
        part.bytes.append(slice(of: bytes, start, end))
        part.ends = ends[range].map { $0 - start }
        return part
    }

    private func slice(of bytes: borrowing ByteWriter, _ start: Int, _ end: Int) -> [UInt8] {
        array(bytes.span.extracting(start..<end))
    }
}
