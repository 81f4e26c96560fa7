// SPDX-License-Identifier: Apache-2.0

/// Why a span was not exported.
public enum DropReason: Int, CaseIterable, Sendable {
    /// The worker's ring had no room.
    case ringFull
    /// The exporter's queue had no room.
    case queueFull
    /// The collector refused it for good: 4xx, or OTLP's partial success.
    case rejected
    /// A single span above what the collector takes (413).
    case tooLarge
    /// The process ended before it could be posted.
    case shutdown

    /// Label value in metrics.
    public var label: String {
        switch self {
        case .ringFull: "ring_full"
        case .queueFull: "queue_full"
        case .rejected: "rejected"
        case .tooLarge: "too_large"
        case .shutdown: "shutdown"
        }
    }
}

/// What became of the spans so far. For every exporter, at every moment:
/// started = exported + dropped + queued.
public struct SpanAccounting: Sendable {
    public struct Exporter: Sendable {
        public var name: String
        public var exported: UInt64 = 0
        /// By ``DropReason``.
        public var dropped = [UInt64](repeating: 0, count: DropReason.allCases.count)
        /// In the rings, in the queue, or on their way.
        public var queued: UInt64 = 0
        public var posts: UInt64 = 0
        /// Posts that did not end with a 2xx.
        public var failures: UInt64 = 0
    }

    /// Spans the workers recorded.
    public var started: UInt64 = 0
    public var exporters: [Exporter] = []
}
