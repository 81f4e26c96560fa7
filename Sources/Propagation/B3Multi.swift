// SPDX-License-Identifier: Apache-2.0

/// The five `X-B3-…` fields as they go by.
struct B3Multi: BitwiseCopyable {
    private var traceID = FirstValue<TraceID>()
    private var spanID = FirstValue<SpanID>()
    private var parentID = FirstValue<SpanID>()
    private var sampled = FirstValue<Sampling>()
    private var isDebug = FirstValue<Bool>()

    mutating func offerTraceID(_ line: Span<UInt8>) { traceID.offer(line, parse: B3Multi.traceID) }
    mutating func offerSpanID(_ line: Span<UInt8>) { spanID.offer(line, parse: B3Multi.spanID) }
    mutating func offerParentSpanID(_ line: Span<UInt8>) { parentID.offer(line, parse: B3Multi.parentID) }
    mutating func offerSampled(_ line: Span<UInt8>) { sampled.offer(line, parse: B3Multi.sampling) }
    /// Anything but `1` means nothing; py_zipkin sends `0` with every request.
    mutating func offerFlags(_ line: Span<UInt8>) { isDebug.offer(line) { equals($0, "1") } }

    /// The context the fields add up to: without ids when they are not both good, which leaves the state.
    func finish(_ malformed: inout MalformedFields) -> TraceContext {
        countMalformed(&malformed)
        var context = TraceContext.none
        if let traceID = traceID.value, let spanID = spanID.value {
            context.traceID = traceID
            context.spanID = spanID
            context.parentID = parent(of: spanID, &malformed)
        }
        context.sampling = isDebug.value == true ? .debug : sampled.value ?? .undecided
        return context
    }

    private func parent(of spanID: SpanID, _ malformed: inout MalformedFields) -> SpanID {
        guard let parentID = parentID.value else { return .none }
        guard parentID != spanID else {
            malformed.insert(.parentSpanID)
            return .none
        }
        return parentID
    }

    private func countMalformed(_ malformed: inout MalformedFields) {
        if sampled.reading == .bad { malformed.insert(.sampled) }
        if parentID.reading == .bad { malformed.insert(.parentSpanID) }
        if traceID.isAbsent && spanID.isAbsent {
            // A parent without the ids it belongs to.
            if !parentID.isAbsent { malformed.insert(.parentSpanID) }
        } else {
            if traceID.value == nil { malformed.insert(.traceID) }
            if spanID.value == nil { malformed.insert(.spanID) }
        }
        if traceID.isContradicted || spanID.isContradicted || parentID.isContradicted || sampled.isContradicted
            || isDebug.isContradicted
        {
            malformed.insert(.duplicate)
        }
    }

    /// 1...32 digits, padded to 16 or 32; not zero.
    private static func traceID(_ bytes: Span<UInt8>) -> TraceID? {
        guard bytes.count <= 32 else { return nil }
        let split = max(bytes.count - 16, 0)
        guard let high = hex(bytes, 0..<split), let low = hex(bytes, split..<bytes.count), high | low != 0 else {
            return nil
        }
        return split == 0 ? TraceID(short: low) : TraceID(high: high, low: low)
    }

    /// 1...16 digits; not zero.
    private static func spanID(_ bytes: Span<UInt8>) -> SpanID? {
        guard let value = hex(bytes, 0..<bytes.count), value != 0 else { return nil }
        return SpanID(value)
    }

    /// 1...16 digits; zero is no parent.
    private static func parentID(_ bytes: Span<UInt8>) -> SpanID? { hex(bytes, 0..<bytes.count).map { SpanID($0) } }

    /// Tracers older than 2018 write words.
    private static func sampling(_ bytes: Span<UInt8>) -> Sampling? {
        if equals(bytes, "1") || equals(bytes, "true") { return .accept }
        if equals(bytes, "0") || equals(bytes, "false") { return .deny }
        return equals(bytes, "d") ? .debug : nil
    }
}
