// SPDX-License-Identifier: Apache-2.0
import Propagation

/// Zipkin's v2 JSON. Each span begins with the comma that parts it from the one before.
struct ZipkinV2JSON: SpanFormat {
    private let local: LocalEndpoints
    private var hasTags = false

    init(_ names: SpanNames) {
        local = LocalEndpoints(names) { address, service, out in
            out.append(",\"localEndpoint\":")
            out.append(jsonEndpoint: address, service: service, isNamed: true)
        }
    }

    mutating func begin(
        _ span: inout SpanRecord, name: Span<UInt8>, remoteName: Span<UInt8>, into out: inout ByteWriter
    ) {
        hasTags = false
        out.append(",{\"traceId\":\"")
        out.append(traceID: span.traceID)
        out.append("\",\"id\":\"")
        out.append(hex: span.spanID.value)
        if !span.parentID.isNone {
            out.append("\",\"parentId\":\"")
            out.append(hex: span.parentID.value)
        }
        out.append("\",\"name\":\"")
        out.append(jsonText: name)
        out.append("\",\"timestamp\":")
        out.append(decimal: span.startMicroseconds)
        out.append(",\"duration\":")
        out.append(decimal: span.durationMicroseconds)
        out.append(span.kind == .server ? ",\"kind\":\"SERVER\"" : ",\"kind\":\"CLIENT\"")
        out.append(local[span.listener])
        if span.peer.byteCount > 0 || !remoteName.isEmpty {
            out.append(",\"remoteEndpoint\":")
            out.append(jsonEndpoint: span.peer, service: remoteName, isNamed: !remoteName.isEmpty)
        }
    }

    /// Up to the value's first character.
    @inline(__always)
    private mutating func begin(tag key: StaticString, _ out: inout ByteWriter) {
        if hasTags { out.append(",\"", key, "\":\"") } else { out.append(",\"tags\":{\"", key, "\":\"") }
        hasTags = true
    }

    @inline(__always)
    mutating func tag(_ key: StaticString, _ value: Span<UInt8>, into out: inout ByteWriter) {
        begin(tag: key, &out)
        out.append(jsonText: value)
        out.append(UInt8(ascii: "\""))
    }

    @inline(__always)
    mutating func tag(_ key: StaticString, number: UInt64, into out: inout ByteWriter) {
        begin(tag: key, &out)
        out.append(decimal: number)
        out.append(UInt8(ascii: "\""))
    }

    mutating func end(_ span: inout SpanRecord, into out: inout ByteWriter) {
        if hasTags { out.append(UInt8(ascii: "}")) }
        if span.isDebug { out.append(",\"debug\":true") }
        if span.isShared { out.append(",\"shared\":true") }
        out.append(UInt8(ascii: "}"))
    }
}

extension ByteWriter {
    /// 16 or 32 digits, as received.
    mutating func append(traceID: TraceID) {
        if !traceID.isShort { append(hex: traceID.high) }
        append(hex: traceID.low)
    }

    /// An object of what is known of an endpoint.
    mutating func append(jsonEndpoint address: EndpointAddress, service: Span<UInt8>, isNamed: Bool) {
        var separator: StaticString = "{"
        if isNamed {
            append("{\"serviceName\":\"")
            append(jsonText: service)
            append(UInt8(ascii: "\""))
            separator = ","
        }
        if address.port > 0 {
            append(separator)
            append("\"port\":")
            append(decimal: UInt64(address.port))
            separator = ","
        }
        if address.byteCount > 0 {
            append(separator)
            append(address.byteCount == 4 ? "\"ipv4\":\"" : "\"ipv6\":\"")
            append(ipText: address)
            append(UInt8(ascii: "\""))
        }
        append(UInt8(ascii: "}"))
    }
}
