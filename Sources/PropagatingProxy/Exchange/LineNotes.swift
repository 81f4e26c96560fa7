// SPDX-License-Identifier: Apache-2.0
import HTTP1
import HTTP2
import Propagation

/// Notes where the lines are that a writer adds to a head, if its receiver wants to know: a stream does.
struct LineNotes: BitwiseCopyable {
    let isWanted: Bool
    private var start = 0

    init(isWanted: Bool) { self.isWanted = isWanted }

    /// A line is about to be written.
    @inline(__always)
    mutating func begin(_ out: borrowing OutputSpan<UInt8>) {
        if isWanted { start = out.count }
    }

    /// It has been, as the field's name, a colon, a space and the value.
    @inline(__always)
    func end(_ kind: FieldKind, _ lines: inout SentLines, _ out: borrowing OutputSpan<UInt8>) {
        if isWanted { lines.append(kind, from: start, to: out.count) }
    }
}

extension FieldKind {
    init(_ field: FieldName) {
        switch field {
        case .b3: self = .b3
        case .traceID: self = .b3TraceID
        case .spanID: self = .b3SpanID
        case .parentSpanID: self = .b3ParentSpanID
        case .sampled: self = .b3Sampled
        case .flags: self = .b3Flags
        case .traceparent: self = .traceparent
        case .tracestate: self = .tracestate
        }
    }
}

extension SentLines {
    /// Notes a received line that is copied.
    @inline(__always)
    mutating func append(_ field: FieldTable.Field, movedBy shift: Int) {
        append(
            field.kind, name: Int(field.name.start) + shift, count: Int(field.name.count),
            value: Int(field.value.start) + shift, count: Int(field.value.count))
    }
}
