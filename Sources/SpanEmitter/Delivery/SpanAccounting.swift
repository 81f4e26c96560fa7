// SPDX-License-Identifier: Apache-2.0

/// Why a span did not reach a collector.
public enum DropReason: Int, CaseIterable, Sendable {
    /// The worker found its ring full.
    case ringFull
    /// The exporter's queue had no room; the newest span went.
    case queueFull
    /// The collector answered 4xx.
    case rejected
    /// A single span that the collector called too large (413).
    case tooLarge
    /// An OTLP collector took a batch but not every span of it.
    case partial
    /// Still unsent when the process had to end.
    case shutdown
    /// Buffers ran short, and spans are what is given up first.
    case overload

    /// As a metrics label.
    public var label: String {
        switch self {
        case .ringFull: "ring_full"
        case .queueFull: "queue_full"
        case .rejected: "rejected"
        case .tooLarge: "too_large"
        case .partial: "partial"
        case .shutdown: "shutdown"
        case .overload: "overload"
        }
    }
}

/// Where every span is, at one moment. For each exporter, ``started`` is exported plus all dropped plus queued.
public struct SpanAccounting: Sendable, Equatable {
    /// Spans recorded since the start.
    public var started: UInt64 = 0
    public var exporters: [Exporter] = []

    public struct Exporter: Sendable, Equatable {
        public var name: String
        /// Answered with 2xx.
        public var exported: UInt64 = 0
        /// By ``DropReason``, in the order of its cases.
        public var dropped = [UInt64](repeating: 0, count: DropReason.allCases.count)
        /// In rings, in the exporter's queue and in flight.
        public var queued: UInt64 = 0
        /// The part of ``queued`` that a post under way holds.
        public var inFlight: UInt64 = 0
        public var queuedBytes: UInt64 = 0
        /// Posts that were begun, retries included.
        public var posts: UInt64 = 0
        /// Posts without a 2xx.
        public var failures: UInt64 = 0
        /// Spans of gRPC calls with a name in place of their own, as of the last post.
        public var renamed: UInt64 = 0

        public subscript(reason: DropReason) -> UInt64 { dropped[reason.rawValue] }
        public var droppedCount: UInt64 { dropped.reduce(0, +) }

        mutating func drop(_ count: Int, _ reason: DropReason) { dropped[reason.rawValue] += UInt64(count) }
    }
}
