// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// The count of every span, kept right at every moment: each move of spans is one change under one
/// lock, and the rings' counters are read once per look.
final class SpanLedger: Sendable {
    private struct Books {
        var drained: UInt64 = 0
        var exporters: [SpanAccounting.Exporter]
    }

    private let books: Locked<Books>
    private let rings: [SpanRing]

    init(_ names: [String], rings: [SpanRing]) {
        books = Locked(Books(exporters: names.map { SpanAccounting.Exporter(name: $0) }))
        self.rings = rings
    }

    /// So many spans have left the rings; `taken` and their bytes by exporter, the others found a full queue.
    func drained(_ count: Int, taken: [(spans: Int, bytes: Int)]) {
        books.withLock { books in
            books.drained += UInt64(count)
            for (index, part) in taken.enumerated() {
                books.exporters[index].queued += UInt64(part.spans)
                books.exporters[index].queuedBytes += UInt64(part.bytes)
                books.exporters[index].drop(count - part.spans, .queueFull)
            }
        }
    }

    /// One move of one exporter's spans.
    func change(_ index: Int, _ body: (inout SpanAccounting.Exporter) -> Void) {
        books.withLock { body(&$0.exporters[index]) }
    }

    func snapshot() -> SpanAccounting {
        books.withLock { books in
            var (pushed, refused, shed): (UInt64, UInt64, UInt64) = (0, 0, 0)
            for ring in rings {
                pushed += ring.pushedCount
                refused += ring.droppedCount
                shed += ring.shedCount
            }
            var accounting = SpanAccounting(started: pushed + refused + shed, exporters: books.exporters)
            for index in accounting.exporters.indices {
                accounting.exporters[index].queued += pushed - books.drained
                accounting.exporters[index].dropped[DropReason.ringFull.rawValue] = refused
                accounting.exporters[index].dropped[DropReason.overload.rawValue] = shed
            }
            return accounting
        }
    }
}
