// SPDX-License-Identifier: Apache-2.0

/// Finds a request's trace context while its fields go by.
///
/// Fields are offered one at a time in arrival order, so nothing has to collect them first. Bad input never fails a
/// request: it is counted, and counts as absent.
public struct Extraction: BitwiseCopyable {
    private var formats: FormatList
    private var single = FirstValue<B3Single>()
    private var multi = B3Multi()
    /// The only `traceparent` line, if it was good.
    private var traceparent: TraceContext?
    private var traceparentLines = 0
    private var hasTracestate = false
    /// No field of a trace context has gone by.
    public private(set) var isEmpty = true

    /// An extraction that has seen no field; reads the given formats, in this order of preference.
    public init(formats: FormatList) { self.formats = formats }

    /// As if made anew, for other fields.
    public mutating func begin(formats: FormatList) {
        if isEmpty { self.formats = formats } else { self = Extraction(formats: formats) }
    }

    /// Looks at one field. True when the field belongs to a trace context, whichever formats are read: it must not be
    /// forwarded as it came.
    public mutating func offer(name: Span<UInt8>, value: Span<UInt8>) -> Bool {
        guard let field = FieldName(name) else { return false }
        isEmpty = false
        switch field {
        case .b3: single.offer(value, parse: B3Single.init)
        case .traceID: multi.offerTraceID(value)
        case .spanID: multi.offerSpanID(value)
        case .parentSpanID: multi.offerParentSpanID(value)
        case .sampled: multi.offerSampled(value)
        case .flags: multi.offerFlags(value)
        case .traceparent:
            traceparentLines += 1
            traceparent = traceparentLines == 1 ? TraceParent.parse(value) : nil
        case .tracestate: hasTracestate = true
        }
        return true
    }

    /// What the fields said, as far as the sender is trusted. Changes nothing; but a borrowed value would be copied, all of it.
    public mutating func finish(trust: Trust) -> Extracted {
        guard trust != .none, !isEmpty else { return Extracted() }
        let extracted = read()
        return trust == .ids ? extracted.undecided : extracted
    }

    private func read() -> Extracted {
        var extracted = Extracted()
        var isB3Settled = false
        for index in 0..<formats.count {
            let format = formats[index]
            switch format {
            case .b3Single where !isB3Settled:
                isB3Settled = take(readSingle(&extracted.malformed), from: format, into: &extracted)
            case .b3Multi where !isB3Settled:
                isB3Settled = take(multi.finish(&extracted.malformed), from: format, into: &extracted)
            case .traceContext:
                if traceparentLines > 0, traceparent == nil { extracted.malformed.insert(.traceparent) }
                _ = take(traceparent ?? .none, from: format, into: &extracted)
            default: break
            }
        }
        if let traceparent, formats.contains(.traceContext), extracted.outcome == .continued {
            extracted.keepsTracestate = hasTracestate && traceparent.traceID.isSameTrace(as: extracted.context.traceID)
        }
        return extracted
    }

    /// Adds what one format says to what the preferred ones said. Ids come from the first format that has them.
    /// A B3 state without ids beats the flag of a `traceparent` on either side of it: somebody set it on purpose.
    /// Returns whether the format said anything.
    private func take(_ context: TraceContext, from format: TraceFormat, into extracted: inout Extracted) -> Bool {
        if context.traceID.isNone {
            guard context.sampling != .undecided else { return false }
            switch extracted.outcome {
            case .none:
                extracted.outcome = .hint
                extracted.context.sampling = context.sampling
                extracted.source = format
            case .continued where extracted.source == .traceContext: extracted.context.sampling = context.sampling
            case .continued, .hint: break
            }
        } else if extracted.outcome != .continued {
            let hint = extracted.outcome == .hint ? extracted.context.sampling : nil
            extracted.outcome = .continued
            extracted.context = context
            extracted.source = format
            if let hint { extracted.context.sampling = hint }
        }
        return true
    }

    private func readSingle(_ malformed: inout MalformedFields) -> TraceContext {
        if single.isContradicted { malformed.insert(.duplicate) }
        if single.reading == .bad { malformed.insert(.b3) }
        guard let value = single.value else { return .none }
        if value.hadSelfAsParent { malformed.insert(.parentSpanID) }
        return value.context
    }
}

/// How far the trace fields of a listener's requests are believed.
public enum Trust: UInt8, BitwiseCopyable, Sendable {
    case all
    /// Trace and parent are kept, sampling is decided anew; debug is a wish like any other.
    case ids
    /// As if nothing came.
    case none
}
