// SPDX-License-Identifier: Apache-2.0
import Propagation

/// Zipkin's v2 proto3: each span is one element of `ListOfSpans`, with its tag and length.
struct ZipkinV2Proto: SpanFormat {
    private let local: LocalEndpoints
    private var start = 0

    init(_ names: SpanNames) {
        local = LocalEndpoints(names) { address, service, out in
            out.append(protoEndpoint: address, service: service, field: 8)
        }
    }

    mutating func begin(
        _ span: inout SpanRecord, name: Span<UInt8>, remoteName: Span<UInt8>, address: Span<UInt8>,
        into out: inout ByteWriter
    ) {
        out.append(protoTag: 1, .bytes)
        start = out.openLength(2)
        if span.traceID.isShort {
            out.append(UInt16(0x0A08), bigEndian: span.traceID.low)  // field 1, bytes, 8 of them
        } else {
            out.append(UInt16(0x0A10), bigEndian: span.traceID.high)  // field 1, bytes, 16 of them
            out.append(bigEndian: span.traceID.low)
        }
        if !span.parentID.isNone { out.append(protoField: 2, id: span.parentID) }
        out.append(protoField: 3, id: span.spanID)
        out.append(bigEndian: UInt16(span.kind == .server ? 0x2002 : 0x2001))  // field 4, varint
        out.append(protoField: 5, ready: name)
        out.append(UInt8(0x31), bigEndian: span.startMicroseconds.byteSwapped)  // field 6, fixed64
        out.append(protoTag: 7, .varint)
        out.append(varint: span.durationMicroseconds)
        out.append(local[span.listener])
        if span.peer.byteCount > 0 || !remoteName.isEmpty {
            out.append(protoEndpoint: span.peer, service: remoteName, field: 9)
        }
    }

    /// Field 11, bytes.
    private static let tags: UInt8 = 11 << 3 | 2

    mutating func tag(_ key: StaticString, _ value: Span<UInt8>, into out: inout ByteWriter) {
        if out.append(protoEntry: Self.tags, key, ifASCII: value) { return }
        out.append(protoTag: 11, .bytes)
        let start = out.openLength(1)
        out.append(protoField: 1, key: key)
        out.append(protoField: 2, text: value)
        out.closeLength(1, at: start)
    }

    @inline(__always)
    mutating func tag(_ key: StaticString, ready value: Span<UInt8>, into out: inout ByteWriter) {
        if !out.append(protoEntry: Self.tags, key, ready: value) { tag(long: key, value, into: &out) }
    }

    @inline(never)
    private func tag(long key: StaticString, _ value: Span<UInt8>, into out: inout ByteWriter) {
        out.append(protoTag: 11, .bytes)
        let start = out.openLength(1)
        out.append(protoField: 1, key: key)
        out.append(protoField: 2, ready: value)
        out.closeLength(1, at: start)
    }

    mutating func tag(_ key: StaticString, number: UInt64, into out: inout ByteWriter) {
        if out.append(protoEntry: Self.tags, key, number: number) { return }
        out.append(protoTag: 11, .bytes)
        let start = out.openLength(1)
        out.append(protoField: 1, key: key)
        out.append(protoTag: 2, .bytes)
        let digits = out.openLength(1)
        out.append(decimal: number)
        out.closeLength(1, at: digits)
        out.closeLength(1, at: start)
    }

    mutating func end(_ span: inout SpanRecord, into out: inout ByteWriter) {
        if span.isDebug {
            out.append(protoTag: 12, .varint)
            out.append(1)
        }
        if span.isShared {
            out.append(protoTag: 13, .varint)
            out.append(1)
        }
        out.closeLength(2, at: start)
    }
}

enum ProtoType: UInt64 { case varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 }

extension ByteWriter {
    @inline(__always)
    mutating func append(protoTag number: UInt64, _ type: ProtoType) { append(varint: number << 3 | type.rawValue) }

    mutating func append(protoField number: UInt64, text: Span<UInt8>) {
        append(protoTag: number, .bytes)
        let start = openLength(1)
        append(text: text)
        closeLength(1, at: start)
    }

    /// Text that is UTF-8.
    @inline(__always)
    mutating func append(protoField number: UInt64, ready text: Span<UInt8>) {
        append(protoTag: number, .bytes)
        append(varint: UInt64(text.count))
        append(text)
    }

    @inline(__always)
    mutating func append(protoField number: UInt64, key: StaticString) {
        append(protoTag: number, .bytes)
        append(varint: UInt64(key.utf8CodeUnitCount))
        append(key)
    }

    @inline(__always)
    mutating func append(protoField number: UInt64, id: SpanID) {
        append(UInt16(truncatingIfNeeded: (number << 3 | ProtoType.bytes.rawValue) << 8 | 8), bigEndian: id.value)
    }

    /// Zipkin's `Endpoint`; what is unknown is left out.
    @inline(__always)
    mutating func append(protoEndpoint address: EndpointAddress, service: Span<UInt8>, field: UInt64) {
        append(protoTag: field, .bytes)
        let start = openLength(1)
        if !service.isEmpty { append(protoField: 1, ready: service) }
        if address.byteCount > 0 {
            append(protoTag: address.byteCount == 4 ? 2 : 3, .bytes)
            append(UInt8(address.byteCount))
            append(ipBytes: address)
        }
        if address.port > 0 {
            append(protoTag: 4, .varint)
            append(varint: UInt64(address.port))
        }
        closeLength(1, at: start)
    }
}
