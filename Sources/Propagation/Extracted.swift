// SPDX-License-Identifier: Apache-2.0

/// What a request's fields say about its trace.
public struct Extracted: BitwiseCopyable, Sendable {
    public enum Outcome: UInt8, BitwiseCopyable, Sendable {
        /// The ids are usable: the trace goes on.
        case continued
        /// No usable ids, but a decision to honour on a new trace.
        case hint
        /// A new trace, decided by our sampler.
        case none
    }

    public internal(set) var outcome: Outcome = .none
    /// Ids only when ``outcome`` is `continued`; the state also when it is `hint`.
    public internal(set) var context: TraceContext = .none
    /// Where the ids come from, or the state when no ids came.
    public internal(set) var source: TraceFormat?
    public internal(set) var malformed: MalformedFields = []
    /// `tracestate` came and belongs to the trace that goes on: collect it in a ``TraceState``.
    public internal(set) var keepsTracestate = false

    /// Nothing came.
    public init() {}

    /// The same trace, with nothing said about whether to record it.
    public var undecided: Extracted {
        var copy = self
        copy.context.sampling = .undecided
        if outcome == .hint { copy.outcome = .none }
        return copy
    }
}

/// The trace fields of one request that could not be used as they came.
public struct MalformedFields: OptionSet, BitwiseCopyable, Sendable {
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let b3 = MalformedFields(rawValue: 1)
    public static let traceID = MalformedFields(rawValue: 2)
    public static let spanID = MalformedFields(rawValue: 4)
    public static let parentSpanID = MalformedFields(rawValue: 8)
    public static let sampled = MalformedFields(rawValue: 16)
    public static let traceparent = MalformedFields(rawValue: 32)
    public static let tracestate = MalformedFields(rawValue: 64)
    /// A B3 field came with two different values; the first one counted.
    public static let duplicate = MalformedFields(rawValue: 128)

    /// How many kinds there are; bit `n` of ``rawValue`` has the label `label(n)`.
    public static let kindCount = 8

    /// The metric label of one bit.
    public static func label(_ bit: Int) -> StaticString {
        switch bit {
        case 0: "b3"
        case 1: "trace_id"
        case 2: "span_id"
        case 3: "parent_span_id"
        case 4: "sampled"
        case 5: "traceparent"
        case 6: "tracestate"
        default: "duplicate"
        }
    }
}
