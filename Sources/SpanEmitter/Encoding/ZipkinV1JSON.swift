// SPDX-License-Identifier: Apache-2.0
import Propagation

/// Zipkin's v1 JSON. Each span begins with the comma that parts it from the one before.
struct ZipkinV1JSON: SpanFormat {
    /// With the endpoint's key, which every annotation ends or begins with.
    private let local: LocalEndpoints
    /// Where the peer's endpoint waits until the tags are written.
    private var remote: [UInt8] = []
    private var listener: UInt16 = 0
    private var hasTags = false

    static func append(_ text: Span<UInt8>, to out: inout ByteWriter) { out.append(jsonText: text) }

    init(_ names: SpanNames) {
        local = LocalEndpoints(names) { address, service, out in
            out.append("\"endpoint\":")
            out.append(jsonEndpoint: address, service: service, isNamed: true)
        }
    }

    mutating func begin(
        _ span: inout SpanRecord, name: Span<UInt8>, remoteName: Span<UInt8>, address: Span<UInt8>,
        into out: inout ByteWriter
    ) {
        hasTags = false
        listener = span.listener
        out.append(",{\"traceId\":\"")
        out.append(traceID: span.traceID)
        out.append("\",\"name\":\"")
        out.append(name)
        out.append("\",\"id\":\"")
        out.append(hex: span.spanID.value)
        if !span.parentID.isNone {
            out.append("\",\"parentId\":\"")
            out.append(hex: span.parentID.value)
        }
        out.append("\",\"annotations\":[")
        annotate(span.startMicroseconds, span.kind == .server ? "sr" : "cs", &out)
        out.append(UInt8(ascii: ","))
        annotate(span.startMicroseconds &+ span.durationMicroseconds, span.kind == .server ? "ss" : "cr", &out)
        out.append("],\"binaryAnnotations\":[")
        remote.removeAll(keepingCapacity: true)
        guard span.peer.byteCount > 0 || !remoteName.isEmpty else { return }
        var endpoint = ByteWriter(capacity: 256)
        endpoint.append(jsonEndpoint: span.peer, address, service: remoteName, isNamed: true)
        remote = array(endpoint.span)
    }

    private func annotate(_ microseconds: UInt64, _ value: StaticString, _ out: inout ByteWriter) {
        out.append(UInt8(ascii: "{"))
        out.append(local[listener])
        out.append(",\"timestamp\":")
        out.append(decimal: microseconds)
        out.append(",\"value\":\"")
        out.append(value)
        out.append("\"}")
    }

    private mutating func begin(tag key: StaticString, _ out: inout ByteWriter) {
        out.append(hasTags ? ",{\"key\":\"" : "{\"key\":\"")
        hasTags = true
        out.append(key)
        out.append("\",\"value\":\"")
    }

    private func end(tag out: inout ByteWriter) {
        out.append("\",")
        out.append(local[listener])
        out.append(UInt8(ascii: "}"))
    }

    mutating func tag(_ key: StaticString, _ value: Span<UInt8>, into out: inout ByteWriter) {
        begin(tag: key, &out)
        out.append(jsonText: value)
        end(tag: &out)
    }

    mutating func tag(_ key: StaticString, ready value: Span<UInt8>, into out: inout ByteWriter) {
        begin(tag: key, &out)
        out.append(value)
        end(tag: &out)
    }

    mutating func tag(_ key: StaticString, number: UInt64, into out: inout ByteWriter) {
        begin(tag: key, &out)
        out.append(decimal: number)
        end(tag: &out)
    }

    mutating func end(_ span: inout SpanRecord, into out: inout ByteWriter) {
        if !remote.isEmpty {
            out.append(hasTags ? ",{\"key\":\"" : "{\"key\":\"")
            out.append(span.kind == .server ? "ca" : "sa")
            out.append("\",\"value\":true,\"endpoint\":")
            out.append(remote)
            out.append(UInt8(ascii: "}"))
        }
        out.append(UInt8(ascii: "]"))
        if span.isDebug { out.append(",\"debug\":true") }
        // v1 says "shared" by leaving out what the owner of the span reports.
        if !span.isSharedServer {
            out.append(",\"timestamp\":")
            out.append(decimal: span.startMicroseconds)
            out.append(",\"duration\":")
            out.append(decimal: span.durationMicroseconds)
        }
        out.append(UInt8(ascii: "}"))
    }
}
