// SPDX-License-Identifier: Apache-2.0

/// The accounts of the spans as `/metrics` shows them. For each exporter, started is the sum of
/// exported, dropped and queued.
struct SpanFigures: Sendable {
    struct Exporter: Sendable {
        var name: String
        var exported: UInt64
        /// Every reason, also those with 0.
        var dropped: [(reason: String, count: UInt64)]
        /// Spans in the rings, in the queue, or on their way.
        var queued: UInt64
        var posts: UInt64 = 0
        /// Posts that failed and will be tried again, or not.
        var failures: UInt64 = 0
        /// Spans of gRPC calls named `_OTHER`.
        var renamed: UInt64 = 0
    }

    /// Spans that were to be reported.
    var started: UInt64 = 0
    var exporters: [Exporter] = []

    func write(into text: inout MetricsText) {
        text.family("spans_started_total", .counter, "Spans recorded to be reported.")
        text.sample(started)
        text.family("spans_exported_total", .counter, "Spans a collector has accepted.")
        for exporter in exporters { text.sample(exporter.exported, ["exporter": exporter.name]) }
        text.family("spans_dropped_total", .counter, "Spans lost, by reason.")
        for exporter in exporters {
            for (reason, count) in exporter.dropped {
                text.sample(count, ["exporter": exporter.name, "reason": reason])
            }
        }
        text.family("spans_queued", .gauge, "Spans not exported and not dropped yet, those in flight included.")
        for exporter in exporters { text.sample(exporter.queued, ["exporter": exporter.name]) }
        text.family("span_posts_total", .counter, "Posts to collectors.")
        for exporter in exporters { text.sample(exporter.posts, ["exporter": exporter.name]) }
        text.family("span_posts_failed_total", .counter, "Posts to collectors that failed.")
        for exporter in exporters { text.sample(exporter.failures, ["exporter": exporter.name]) }
        text.family("spans_renamed_total", .counter, "Spans of gRPC calls named _OTHER, for want of room for names.")
        for exporter in exporters { text.sample(exporter.renamed, ["exporter": exporter.name]) }
    }
}
