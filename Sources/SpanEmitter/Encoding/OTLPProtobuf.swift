// SPDX-License-Identifier: Apache-2.0
import Propagation

/// OTLP's `Span`: each is one element of `ScopeSpans.spans`, with its tag and length.
struct OTLPProtobuf: SpanFormat {
    private var start = 0

    static var hasStatus: Bool { true }

    mutating func begin(
        _ span: inout SpanRecord, name: Span<UInt8>, remoteName: Span<UInt8>, address: Span<UInt8>,
        into out: inout ByteWriter
    ) {
        out.append(protoTag: 2, .bytes)
        start = out.openLength(2)
        out.append(protoTag: 1, .bytes)
        out.append(16)
        out.append(bigEndian: span.traceID.high)  // 0 for a 64-bit id: OTLP pads
        out.append(bigEndian: span.traceID.low)
        out.append(protoField: 2, id: span.spanID)
        if !span.parentID.isNone { out.append(protoField: 4, id: span.parentID) }
        out.append(protoField: 5, ready: name)
        out.append(protoTag: 6, .varint)
        out.append(span.kind == .server ? 2 : 3)
        out.append(protoTag: 7, .fixed64)
        out.append(littleEndian: span.startMicroseconds &* 1000)
        out.append(protoTag: 8, .fixed64)
        out.append(littleEndian: (span.startMicroseconds &+ span.durationMicroseconds) &* 1000)
        if !remoteName.isEmpty { tag("peer.service", ready: remoteName, into: &out) }
    }

    mutating func tag(_ key: StaticString, _ value: Span<UInt8>, into out: inout ByteWriter) {
        out.append(otlpAttribute: key, field: 9) { $0.append(protoField: 1, text: value) }
    }

    mutating func tag(_ key: StaticString, ready value: Span<UInt8>, into out: inout ByteWriter) {
        out.append(otlpAttribute: key, field: 9) { $0.append(protoField: 1, ready: value) }
    }

    mutating func tag(_ key: StaticString, number: UInt64, into out: inout ByteWriter) {
        out.append(otlpAttribute: key, field: 9) {
            $0.append(protoTag: 3, .varint)
            $0.append(varint: number)
        }
    }

    mutating func tag(_ key: StaticString, flag: Bool, into out: inout ByteWriter) {
        out.append(otlpAttribute: key, field: 9) {
            $0.append(protoTag: 2, .varint)
            $0.append(flag ? 1 : 0)
        }
    }

    mutating func tag(_ key: StaticString, list value: Span<UInt8>, into out: inout ByteWriter) {
        out.append(otlpAttribute: key, field: 9) {
            $0.append(protoTag: 5, .bytes)
            let list = $0.count
            $0.append(protoTag: 1, .bytes)
            let element = $0.count
            $0.append(protoField: 1, text: value)
            $0.insertLength(at: element)
            $0.insertLength(at: list)
        }
    }

    mutating func end(_ span: inout SpanRecord, into out: inout ByteWriter) {
        if span.isError {
            out.append(protoTag: 15, .bytes)
            out.append(2)
            out.append(protoTag: 3, .varint)
            out.append(2)
        }
        out.append(protoTag: 16, .fixed32)
        // W3C "sampled", "we know whether the parent is remote", and whether it is.
        out.append(littleEndian: UInt32(0x101 | (span.parentIsRemote ? 0x200 : 0)))
        out.closeLength(2, at: start)
    }
}

extension ByteWriter {
    /// A `KeyValue`; `value` writes the fields of its `AnyValue`.
    @inline(__always)
    mutating func append(otlpAttribute key: StaticString, field: UInt64, _ value: (inout ByteWriter) -> Void) {
        append(protoTag: field, .bytes)
        let start = openLength(1)
        append(protoField: 1, key: key)
        append(protoTag: 2, .bytes)
        let content = openLength(1)
        value(&self)
        closeLength(1, at: content)
        closeLength(1, at: start)
    }
}
