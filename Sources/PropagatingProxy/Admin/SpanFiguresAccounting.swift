// SPDX-License-Identifier: Apache-2.0
import SpanEmitter

extension SpanFigures {
    /// The reporter's figures, as one consistent moment saw them.
    init(_ accounting: SpanAccounting) {
        self.init(
            started: accounting.started,
            exporters: accounting.exporters.map { exporter in
                Exporter(
                    name: exporter.name, exported: exporter.exported,
                    dropped: zip(DropReason.allCases, exporter.dropped).map { ($0.label, $1) },
                    queued: exporter.queued, posts: exporter.posts, failures: exporter.failures,
                    renamed: exporter.renamed)
            })
    }
}
