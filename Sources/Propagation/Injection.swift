// SPDX-License-Identifier: Apache-2.0

/// Writes trace fields into an outgoing HTTP/1.1 head: from parsed values only, each name once, ids in lower case.
public enum Injection {
    /// Room that is enough for any context in all formats, in bytes.
    public static let maximumByteCount = 256 + 80 + 80

    /// Appends complete field lines for the context of one attempt. Appends nothing and returns false when `out` has
    /// less room than ``maximumByteCount``.
    /// `emitsFlagsZero` repeats py_zipkin's constant `X-B3-Flags: 0`.
    @discardableResult
    public static func write(
        _ context: TraceContext, formats: FormatList, emitsFlagsZero: Bool = false, into out: inout OutputSpan<UInt8>
    ) -> Bool {
        writeLines(context, formats, emitsFlagsZero, into: &out) { _, _ in }
    }

    /// The same.
    ///
    /// - Parameter lineWritten: told after each line which field it is.
    @discardableResult
    public static func write(
        _ context: TraceContext, formats: FormatList, emitsFlagsZero: Bool = false, into out: inout OutputSpan<UInt8>,
        lineWritten: (FieldName, inout OutputSpan<UInt8>) -> Void
    ) -> Bool {
        writeLines(context, formats, emitsFlagsZero, into: &out, lineWritten)
    }

    @inline(__always)
    private static func writeLines(
        _ context: TraceContext, _ formats: FormatList, _ emitsFlagsZero: Bool, into out: inout OutputSpan<UInt8>,
        _ lineWritten: (FieldName, inout OutputSpan<UInt8>) -> Void
    ) -> Bool {
        guard out.freeCapacity >= maximumByteCount else { return false }
        for index in 0..<formats.count {
            switch formats[index] {
            case .b3Single:
                writeSingle(context, into: &out)
                lineWritten(.b3, &out)
            case .b3Multi: writeMulti(context, emitsFlagsZero, into: &out, lineWritten)
            case .traceContext:
                append("traceparent: ", to: &out)
                TraceParent.write(context, into: &out)
                append("\r\n", to: &out)
                lineWritten(.traceparent, &out)
            }
        }
        return true
    }

    private static func writeSingle(_ context: TraceContext, into out: inout OutputSpan<UInt8>) {
        append("b3: ", to: &out)
        context.traceID.write(into: &out)
        out.append(dash)
        appendHex(context.spanID.value, to: &out)
        switch context.sampling {
        case .undecided: break
        case .deny: append("-0", to: &out)
        case .accept: append("-1", to: &out)
        case .debug: append("-d", to: &out)
        }
        if !context.parentID.isNone {
            out.append(dash)
            appendHex(context.parentID.value, to: &out)
        }
        append("\r\n", to: &out)
    }

    @inline(__always)
    private static func writeMulti(
        _ context: TraceContext, _ emitsFlagsZero: Bool, into out: inout OutputSpan<UInt8>,
        _ lineWritten: (FieldName, inout OutputSpan<UInt8>) -> Void
    ) {
        let traceID = context.traceID
        appendLine("X-B3-TraceId: ", high: traceID.isShort ? nil : traceID.high, low: traceID.low, to: &out)
        lineWritten(.traceID, &out)
        appendLine("X-B3-SpanId: ", low: context.spanID.value, to: &out)
        lineWritten(.spanID, &out)
        if !context.parentID.isNone {
            appendLine("X-B3-ParentSpanId: ", low: context.parentID.value, to: &out)
            lineWritten(.parentSpanID, &out)
        }
        if context.sampling != .undecided {
            if context.sampling == .deny {
                append("X-B3-Sampled: 0\r\n", to: &out)
            } else {
                append("X-B3-Sampled: 1\r\n", to: &out)
            }
            lineWritten(.sampled, &out)
        }
        // Envoy never reads Flags: without Sampled it would drop the trace.
        guard emitsFlagsZero || context.sampling == .debug else { return }
        append(context.sampling == .debug ? "X-B3-Flags: 1\r\n" : "X-B3-Flags: 0\r\n", to: &out)
        lineWritten(.flags, &out)
    }
}
