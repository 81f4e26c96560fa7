// SPDX-License-Identifier: Apache-2.0
import Propagation

/// Zipkin's v1 thrift: structs of TBinaryProtocol, big endian, without an envelope.
struct ZipkinV1Thrift: SpanFormat {
    private let local: LocalEndpoints
    private var listener: UInt16 = 0
    /// Written before the tags, repaired when their number is known: see ``end(_:into:)``.
    private let tags = ByteWriterBox()
    private var tagCount: UInt32 = 0
    private var remote: [UInt8] = []

    init(_ names: SpanNames) {
        local = LocalEndpoints(names) { address, service, out in
            out.append(thriftEndpoint: address, service: service)
        }
    }

    mutating func begin(
        _ span: inout SpanRecord, name: Span<UInt8>, remoteName: Span<UInt8>, address: Span<UInt8>,
        into out: inout ByteWriter
    ) {
        listener = span.listener
        tagCount = 0
        tags.bytes.truncate(to: 0)
        out.append(thriftField: .i64, 1)
        out.append(bigEndian: span.traceID.low)
        out.append(thriftField: .string, 3)
        out.append(thriftReady: name)
        out.append(thriftField: .i64, 4)
        out.append(bigEndian: span.spanID.value)
        if !span.parentID.isNone {
            out.append(thriftField: .i64, 5)
            out.append(bigEndian: span.parentID.value)
        }
        out.append(thriftField: .list, 6)
        out.append(ThriftType.structure.rawValue)
        out.append(bigEndian: UInt32(2))
        annotate(span.startMicroseconds, span.kind == .server ? "sr" : "cs", &out)
        annotate(span.startMicroseconds &+ span.durationMicroseconds, span.kind == .server ? "ss" : "cr", &out)
        remote.removeAll(keepingCapacity: true)
        guard span.peer.byteCount > 0 || !remoteName.isEmpty else { return }
        var endpoint = ByteWriter(capacity: 256)
        endpoint.append(thriftEndpoint: span.peer, service: remoteName)
        remote = array(endpoint.span)
    }

    private func annotate(_ microseconds: UInt64, _ value: StaticString, _ out: inout ByteWriter) {
        out.append(thriftField: .i64, 1)
        out.append(bigEndian: microseconds)
        out.append(thriftField: .string, 2)
        out.append(bigEndian: UInt32(value.utf8CodeUnitCount))
        out.append(value)
        out.append(thriftField: .structure, 3)
        out.append(local[listener])
        out.append(0)
    }

    private mutating func begin(tag key: StaticString) {
        tagCount += 1
        tags.bytes.append(thriftField: .string, 1)
        tags.bytes.append(bigEndian: UInt32(key.utf8CodeUnitCount))
        tags.bytes.append(key)
        tags.bytes.append(thriftField: .string, 2)
    }

    private func end(tagType: UInt32, _ endpoint: Span<UInt8>) {
        tags.bytes.append(thriftField: .i32, 3)
        tags.bytes.append(bigEndian: tagType)
        tags.bytes.append(thriftField: .structure, 4)
        tags.bytes.append(endpoint)
        tags.bytes.append(0)
    }

    mutating func tag(_ key: StaticString, _ value: Span<UInt8>, into out: inout ByteWriter) {
        begin(tag: key)
        tags.bytes.append(thriftText: value)
        end(tagType: 6, local[listener])
    }

    mutating func tag(_ key: StaticString, ready value: Span<UInt8>, into out: inout ByteWriter) {
        begin(tag: key)
        tags.bytes.append(thriftReady: value)
        end(tagType: 6, local[listener])
    }

    mutating func tag(_ key: StaticString, number: UInt64, into out: inout ByteWriter) {
        var digits = ByteWriter(capacity: 64)
        digits.append(decimal: number)
        tag(key, ready: digits.span, into: &out)
    }

    mutating func end(_ span: inout SpanRecord, into out: inout ByteWriter) {
        if !remote.isEmpty {
            begin(tag: span.kind == .server ? "ca" : "sa")
            tags.bytes.append(bigEndian: UInt32(1))
            tags.bytes.append(1)
            end(tagType: 0, remote.span)
        }
        out.append(thriftField: .list, 8)
        out.append(ThriftType.structure.rawValue)
        out.append(bigEndian: tagCount)
        out.append(tags.bytes)
        out.append(thriftField: .bool, 9)
        out.append(span.isDebug ? UInt8(1) : 0)
        // v1 says "shared" by leaving out what the owner of the span reports.
        if !span.isSharedServer {
            out.append(thriftField: .i64, 10)
            out.append(bigEndian: span.startMicroseconds)
            out.append(thriftField: .i64, 11)
            out.append(bigEndian: span.durationMicroseconds)
        }
        if !span.traceID.isShort {
            out.append(thriftField: .i64, 12)
            out.append(bigEndian: span.traceID.high)
        }
        out.append(0)
    }
}

enum ThriftType: UInt8 { case bool = 2, i16 = 6, i32 = 8, i64 = 10, string = 11, structure = 12, list = 15 }

extension ByteWriter {
    mutating func append(thriftField type: ThriftType, _ number: UInt16) {
        append(type.rawValue)
        append(bigEndian: number)
    }

    mutating func append(thriftText text: Span<UInt8>) {
        append(bigEndian: UInt32(truncatingIfNeeded: Self.textSize(text)))
        append(text: text)
    }

    /// Text that is UTF-8.
    mutating func append(thriftReady text: Span<UInt8>) {
        append(bigEndian: UInt32(truncatingIfNeeded: text.count))
        append(text)
    }

    /// A struct with its stop byte; the service name is mandatory.
    mutating func append(thriftEndpoint address: EndpointAddress, service: Span<UInt8>) {
        if address.byteCount == 4 {
            append(thriftField: .i32, 1)
            append(ipBytes: address)
        }
        if address.port > 0 {
            append(thriftField: .i16, 2)
            append(bigEndian: address.port)
        }
        append(thriftField: .string, 3)
        append(thriftText: service)
        if address.byteCount == 16 {
            append(thriftField: .string, 4)
            append(bigEndian: UInt32(16))
            append(ipBytes: address)
        }
        append(0)
    }
}
