// SPDX-License-Identifier: Apache-2.0

/// Encoded spans of one post to be.
final class SpanBatch {
    var bytes = ByteWriter(capacity: 64 * 1024)
    /// Where each span ends in ``bytes``.
    private(set) var ends: [Int] = []

    var count: Int { ends.count }

    /// Notes that a span has been written.
    func spanWritten() { ends.append(bytes.count) }

    /// Forgets all spans and keeps the memory.
    func removeAll() {
        bytes.truncate(to: 0)
        ends.removeAll(keepingCapacity: true)
    }

    /// Appends the body of a post.
    func write(in frame: BatchFrame, into out: inout ByteWriter) { Self.write(bytes, count, in: frame, into: &out) }

    private static func write(
        _ bytes: borrowing ByteWriter, _ count: Int, in frame: BatchFrame, into out: inout ByteWriter
    ) {
        frame.write(bytes.span, count: count, into: &out)
    }

    /// Moves the later half of the spans into a batch of their own.
    func splitHalf() -> SpanBatch {
        let later = SpanBatch()
        let middle = count / 2
        let cut = middle > 0 ? ends[middle - 1] : 0
        Self.copy(bytes, from: cut, to: &later.bytes)
        later.ends = ends[middle...].map { $0 - cut }
        bytes.truncate(to: cut)
        ends.removeSubrange(middle...)
        return later
    }

    private static func copy(_ bytes: borrowing ByteWriter, from start: Int, to out: inout ByteWriter) {
        out.append(bytes.span.extracting(start..<bytes.count))
    }
}
