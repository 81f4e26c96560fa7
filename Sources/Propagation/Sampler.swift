// SPDX-License-Identifier: Apache-2.0

/// Decides whether a trace is recorded. One per worker; the caps hold per worker.
public struct Sampler: BitwiseCopyable, Sendable {
    private let threshold: SamplingThreshold
    private let isCapped: Bool
    private var traces: RateLimiter
    private var debug: RateLimiter

    /// `maxTracesPerSecond` 0 means no cap; `debugPerSecond` 0 means that debug is never honoured.
    public init(threshold: SamplingThreshold, maxTracesPerSecond: Int = 0, debugPerSecond: Int = 10) {
        self.threshold = threshold
        isCapped = maxTracesPerSecond > 0
        traces = RateLimiter(perSecond: maxTracesPerSecond)
        debug = RateLimiter(perSecond: debugPerSecond)
    }

    /// The first rule that applies wins: the route's always or never, debug, the caller's decision, and for what nobody
    /// decided the rate cap and the probability. `nowMicroseconds` is a monotonic time.
    public mutating func decide(
        _ extracted: Extracted, traceID: TraceID, rule: SamplingRule, nowMicroseconds: UInt64
    ) -> SamplingDecision {
        switch rule {
        case .always: return SamplingDecision(.accept, .routeAlways)
        case .never: return SamplingDecision(.deny, .routeNever)
        case .inherit, .percent: break
        }
        switch extracted.context.sampling {
        case .accept: return SamplingDecision(.accept, .incomingAccept)
        case .deny: return SamplingDecision(.deny, .incomingDeny)
        case .debug:
            // Above the cap the wish to bypass later samplers is dropped; the trace itself stays whole.
            guard debug.take(nowMicroseconds: nowMicroseconds) else { return SamplingDecision(.accept, .debugCapped) }
            return SamplingDecision(.debug, .debug)
        case .undecided: return decideNew(traceID, rule, nowMicroseconds)
        }
    }

    /// The cap is asked first, but only a trace that is recorded uses it up: 1 % of many requests may fill it.
    private mutating func decideNew(_ traceID: TraceID, _ rule: SamplingRule, _ now: UInt64) -> SamplingDecision {
        if isCapped, !traces.hasBudget(nowMicroseconds: now) { return SamplingDecision(.deny, .rateCap) }
        var threshold = threshold
        var reason = SamplingReason.probability
        if case .percent(let ofRoute) = rule {
            threshold = ofRoute
            reason = .routePercent
        }
        guard threshold.records(traceID) else { return SamplingDecision(.deny, reason) }
        if isCapped { _ = traces.take(nowMicroseconds: now) }
        return SamplingDecision(.accept, reason)
    }
}

/// What a route says about sampling.
public enum SamplingRule: BitwiseCopyable, Sendable, Hashable {
    case inherit
    case always
    case never
    /// Replaces the listener's probability for what nobody decided.
    case percent(SamplingThreshold)
}

/// A decision and the rule that made it.
public struct SamplingDecision: BitwiseCopyable, Sendable, Equatable {
    /// Never `undecided`.
    public let sampling: Sampling
    public let reason: SamplingReason

    init(_ sampling: Sampling, _ reason: SamplingReason) {
        self.sampling = sampling
        self.reason = reason
    }
}

/// The rule that decided, for metrics.
public enum SamplingReason: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    case routeAlways
    case routeNever
    case routePercent
    case debug
    /// Debug was asked for above its cap, and honoured as accept.
    case debugCapped
    case incomingAccept
    case incomingDeny
    case rateCap
    case probability

    /// The metric label.
    public var label: StaticString {
        switch self {
        case .routeAlways: "route_always"
        case .routeNever: "route_never"
        case .routePercent: "route_percent"
        case .debug: "debug"
        case .debugCapped: "debug_capped"
        case .incomingAccept: "incoming_accept"
        case .incomingDeny: "incoming_deny"
        case .rateCap: "rate_cap"
        case .probability: "probability"
        }
    }
}
