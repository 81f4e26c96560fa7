// SPDX-License-Identifier: Apache-2.0

/// What travels in the fields between two hops.
public struct TraceContext: BitwiseCopyable, Equatable, Sendable {
    public var traceID: TraceID
    /// The span that sent the message carrying this context.
    public var spanID: SpanID
    /// The span above ``spanID``; ``SpanID/none`` for a root, and always when read from `traceparent`.
    public var parentID: SpanID
    public var sampling: Sampling
    /// The low 56 bits of the trace id were drawn at random (Trace Context Level 2, random flag). B3 cannot say so.
    public var isRandom: Bool

    public init(
        traceID: TraceID, spanID: SpanID, parentID: SpanID = .none, sampling: Sampling, isRandom: Bool = false
    ) {
        self.traceID = traceID
        self.spanID = spanID
        self.parentID = parentID
        self.sampling = sampling
        self.isRandom = isRandom
    }

    /// No ids and no decision: what a request without trace fields carries.
    public static let none = TraceContext(traceID: .none, spanID: .none, sampling: .undecided)
}

/// Whether a trace is recorded.
public enum Sampling: UInt8, BitwiseCopyable, Sendable {
    /// Nobody decided yet. `traceparent` has no such state.
    case undecided
    /// Do not record, keep propagating.
    case deny
    case accept
    /// Accept, and bypass every later sampler. Only B3 carries it.
    case debug

    /// Whether spans of this trace are reported.
    public var isRecorded: Bool { self == .accept || self == .debug }
}
