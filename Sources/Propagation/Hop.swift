// SPDX-License-Identifier: Apache-2.0

/// One exchange's place in its trace: the ids and parents of its spans.
///
/// The order is: extract, then ``traceID(for:width:random:)``, then ``Sampler/decide(_:traceID:rule:nowMicroseconds:)``
/// (it needs the id), then this.
public struct Hop: BitwiseCopyable, Sendable {
    /// The SERVER span, or in `sidecar` mode the only one: its id and parent.
    public let inbound: TraceContext
    /// The SERVER span carries the caller's span id (Zipkin's `shared`).
    public let isShared: Bool
    /// Whether the spans of attempts are reported. In `single` mode the id sent upstream is nobody's.
    public let reportsAttempts: Bool
    /// The one span's own id goes upstream, with every attempt: `sidecar` mode.
    public let sendsOwnID: Bool

    /// Of an exchange that has not begun.
    public static let none = Hop(Extracted(), traceID: .none, sampling: .deny, mode: .newChild, newID: .none)

    /// The received trace id, or a new one.
    @inlinable
    public static func traceID(
        for extracted: Extracted, width: TraceIDWidth, random: inout some RandomNumberGenerator
    ) -> TraceID {
        extracted.outcome == .continued ? extracted.context.traceID : .draw(width, from: &random)
    }

    /// `sampling` is the decision and never `undecided`: what leaves us is always explicit.
    @inlinable
    public init(
        _ extracted: Extracted, traceID: TraceID, sampling: Sampling, mode: SpanMode,
        random: inout some RandomNumberGenerator
    ) {
        self.init(extracted, traceID: traceID, sampling: sampling, mode: mode, newID: .draw(from: &random))
    }

    @usableFromInline
    init(_ extracted: Extracted, traceID: TraceID, sampling: Sampling, mode: SpanMode, newID: SpanID) {
        let received = extracted.context
        let continues = extracted.outcome == .continued
        isShared = continues && mode == .join
        reportsAttempts = mode != .single && mode != .sidecar
        sendsOwnID = mode == .sidecar
        inbound = TraceContext(
            traceID: traceID,
            spanID: isShared ? received.spanID : newID,
            parentID: isShared ? received.parentID : continues ? received.spanID : .none,
            sampling: sampling,
            isRandom: continues ? received.isRandom : true
        )
    }

    /// A context for one attempt upstream, a child of the SERVER span. Every attempt draws its own, but in `sidecar` mode.
    @inlinable
    public func attempt(random: inout some RandomNumberGenerator) -> TraceContext {
        guard !sendsOwnID else { return inbound }
        return TraceContext(
            traceID: inbound.traceID, spanID: .draw(from: &random), parentID: inbound.spanID,
            sampling: inbound.sampling, isRandom: inbound.isRandom
        )
    }
}

/// Which spans an exchange makes.
public enum SpanMode: UInt8, BitwiseCopyable, Sendable {
    /// A SERVER span below the caller's span, and a CLIENT span for each attempt.
    case newChild
    /// The SERVER span shares the caller's id; for callers like Brave and Finagle.
    case join
    /// A SERVER span only.
    case single
    /// One span, SERVER on inbound listeners and CLIENT on outbound ones, whose id goes upstream: as the sidecars of a mesh do.
    case sidecar
}
