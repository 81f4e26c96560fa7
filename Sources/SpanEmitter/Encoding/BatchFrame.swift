// SPDX-License-Identifier: Apache-2.0

/// What stands around the spans of one post. Spans are encoded once, when they leave the ring;
/// batches are cut, and cut again, without touching them.
struct BatchFrame: Sendable {
    let encoding: SpanEncoding
    /// OTLP: the resource, with its tag and length.
    private let resource: [UInt8]
    /// OTLP: the scope, with its tag and length.
    private let scope: [UInt8]

    init(_ encoding: SpanEncoding, names: SpanNames) {
        self.init(
            encoding,
            resource: [
                ("service.name", names.service), ("service.version", names.version),
                ("telemetry.sdk.name", "propagating-proxy"), ("telemetry.sdk.language", "swift"),
                ("telemetry.sdk.version", names.version),
            ],
            scope: ("propagating-proxy", names.version))
    }

    init(_ encoding: SpanEncoding, resource: [(StaticString, String)], scope: (name: String, version: String)) {
        self.encoding = encoding
        var out = ByteWriter()
        out.append(protoTag: 1, .bytes)
        var start = out.count
        for (key, text) in resource {
            let value = Array(text.utf8)
            out.append(otlpAttribute: key, field: 1) { $0.append(protoField: 1, text: value.span) }
        }
        out.insertLength(at: start)
        self.resource = array(out.span)
        out.truncate(to: 0)
        out.append(protoTag: 1, .bytes)
        start = out.count
        out.append(protoField: 1, text: Array(scope.name.utf8).span)
        out.append(protoField: 2, text: Array(scope.version.utf8).span)
        out.insertLength(at: start)
        self.scope = array(out.span)
    }

    /// Bytes at the beginning of a batch that are not sent: the first span's comma.
    var skippedCount: Int { isJSON ? 1 : 0 }
    /// What follows the spans.
    var suffix: StaticString { isJSON ? "]" : "" }
    private var isJSON: Bool { encoding == .zipkinV1JSON || encoding == .zipkinV2JSON }

    /// What precedes the spans.
    ///
    /// - Parameter byteCount: of the spans, without the skipped ones.
    func writePrefix(spans count: Int, byteCount: Int, into out: inout ByteWriter) {
        switch encoding {
        case .zipkinV1JSON, .zipkinV2JSON: out.append(UInt8(ascii: "["))
        case .zipkinV1Thrift:
            out.append(ThriftType.structure.rawValue)
            out.append(bigEndian: UInt32(truncatingIfNeeded: count))
        case .zipkinV2Proto: break
        case .otlpProtobuf:
            let scopeSpans = scope.count + byteCount
            let resourceSpans = resource.count + 1 + varintSize(scopeSpans) + scopeSpans
            out.append(protoTag: 1, .bytes)
            out.append(varint: UInt64(resourceSpans))
            out.append(resource)
            out.append(protoTag: 2, .bytes)
            out.append(varint: UInt64(scopeSpans))
            out.append(scope)
        }
    }
}
