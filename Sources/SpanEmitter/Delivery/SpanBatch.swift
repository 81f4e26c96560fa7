// SPDX-License-Identifier: Apache-2.0

/// Encoded spans in a row, which one post may carry.
final class SpanBatch {
    var bytes = ByteWriter(capacity: 4096)
    /// Where each span ends.
    private(set) var ends: [Int] = []

    var count: Int { ends.count }
    var byteCount: Int { ends.last ?? 0 }

    /// Appends one span unless it would take the queue beyond `room` bytes.
    func append(_ span: borrowing SpanRecord, encoder: inout SpanEncoder, room: Int) -> Bool {
        encoder.encode(span, into: &bytes)
        guard bytes.count - byteCount <= room else {
            bytes.truncate(to: byteCount)
            return false
        }
        ends.append(bytes.count)
        return true
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
