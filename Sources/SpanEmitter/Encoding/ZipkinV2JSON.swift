// SPDX-License-Identifier: Apache-2.0
import Propagation

/// Zipkin's v2 JSON. Each span begins with the comma that parts it from the one before.
struct ZipkinV2JSON: SpanFormat {
    private let local: LocalEndpoints
    /// Where the first tag begins.
    private var tagStart = 0
    private var epochDigits = EpochDigits()
    private var draft = SpanDraft()
    private var templates = SpanTemplates()

    static func append(_ text: Span<UInt8>, to out: inout ByteWriter) { out.append(jsonText: text) }

    init(_ names: SpanNames) {
        local = LocalEndpoints(names) { address, service, out in
            out.append(",\"localEndpoint\":")
            out.append(jsonEndpoint: address, service: service, isNamed: true)
        }
    }

    mutating func begin(
        _ span: inout SpanRecord, name: Span<UInt8>, remoteName: Span<UInt8>, address: Span<UInt8>,
        into out: inout ByteWriter
    ) {
        draft.begin()
        out.append(",{\"traceId\":\"")
        draft.note(.traceID, at: out.count)
        out.append(traceID: span.traceID)
        out.append("\",\"id\":\"")
        draft.note(.spanID, at: out.count)
        out.append(hex: span.spanID.value)
        if !span.parentID.isNone {
            out.append("\",\"parentId\":\"")
            draft.note(.parentID, at: out.count)
            out.append(hex: span.parentID.value)
        }
        out.append("\",\"name\":\"")
        out.append(name, "\",\"timestamp\":")
        draft.note(.start, at: out.count)
        out.append(microseconds: span.startMicroseconds, known: &epochDigits)
        out.append(",\"duration\":")
        let durationStart = out.count
        out.append(decimal: span.durationMicroseconds)
        draft.note(.duration, durationStart..<out.count)
        out.append(span.kind == .server ? ",\"kind\":\"SERVER\"" : ",\"kind\":\"CLIENT\"")
        out.append(local[span.listener])
        if span.peer.byteCount > 0 || !remoteName.isEmpty {
            out.append(",\"remoteEndpoint\":")
            out.append(
                jsonEndpoint: span.peer, address, service: remoteName, isNamed: !remoteName.isEmpty, draft: &draft)
        }
        out.append(Self.tagsBegin)
        tagStart = out.count
    }

    static var hasTemplates: Bool { true }

    mutating func write(
        _ span: inout SpanRecord, like shape: SpanShape, address: Span<UInt8>, into out: inout ByteWriter
    ) -> Bool {
        out.append(&span, like: templates, shape, address, &epochDigits)
    }

    mutating func keep(_ shape: SpanShape, _ out: borrowing ByteWriter, from start: Int) {
        templates.keep(shape, draft, out.span, from: start)
    }

    /// Each tag ends with the comma that parts it from the next one.
    private static let tagsBegin: StaticString = ",\"tags\":{"

    @inline(__always)
    mutating func tag(_ key: StaticString, _ value: Span<UInt8>, into out: inout ByteWriter) {
        out.append("\"", key, "\":\"")
        out.append(jsonText: value)
        out.append("\",")
    }

    @inline(__always)
    mutating func tag(_ key: StaticString, ready value: Span<UInt8>, into out: inout ByteWriter) {
        out.append("\"", key, "\":\"")
        out.append(value, "\",")
    }

    mutating func tag(_ key: StaticString, _ value: Span<UInt8>, as part: SpanPart, into out: inout ByteWriter) {
        out.append("\"", key, "\":\"")
        let start = out.count
        out.append(jsonText: value)
        draft.note(part, start..<out.count)
        out.append("\",")
    }

    @inline(__always)
    mutating func tag(_ key: StaticString, number: UInt64, into out: inout ByteWriter) {
        out.append("\"", key, "\":\"")
        out.append(decimal: number)
        out.append("\",")
    }

    mutating func end(_ span: inout SpanRecord, into out: inout ByteWriter) {
        if out.count > tagStart {
            out.replaceLast(with: UInt8(ascii: "}"))
        } else {
            out.truncate(to: tagStart - Self.tagsBegin.utf8CodeUnitCount)
        }
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

    /// An object of what is known of an endpoint of our own.
    mutating func append(jsonEndpoint address: EndpointAddress, service: Span<UInt8>, isNamed: Bool) {
        var text = ByteWriter(capacity: 64)
        var name = ByteWriter(capacity: 64)
        text.append(ipText: address)
        name.append(jsonText: service)
        append(jsonEndpoint: address, text.span, service: name.span, isNamed: isNamed)
    }

    @inline(__always)
    mutating func append(
        jsonEndpoint address: EndpointAddress, _ text: Span<UInt8>, service: Span<UInt8>, isNamed: Bool
    ) {
        var draft = SpanDraft()
        append(jsonEndpoint: address, text, service: service, isNamed: isNamed, draft: &draft)
    }

    /// An object of what is known of an endpoint.
    ///
    /// - Parameters:
    ///   - text: of the IP address.
    ///   - service: as JSON has it.
    @inline(__always)
    mutating func append(
        jsonEndpoint address: EndpointAddress, _ text: Span<UInt8>, service: Span<UInt8>, isNamed: Bool,
        draft: inout SpanDraft
    ) {
        var separator: StaticString = "{"
        if isNamed {
            append("{\"serviceName\":\"")
            append(service, "\"")
            separator = ","
        }
        if address.port > 0 {
            append(separator)
            append("\"port\":")
            let start = count
            append(decimal: UInt64(address.port))
            draft.note(.port, start..<count)
            separator = ","
        }
        if address.byteCount > 0 {
            append(separator)
            append(address.byteCount == 4 ? "\"ipv4\":\"" : "\"ipv6\":\"")
            draft.note(.address, count..<count + text.count)
            append(text, "\"")
        }
        append(UInt8(ascii: "}"))
    }
}
