// SPDX-License-Identifier: Apache-2.0

/// Writes records in the encoding and profile of one exporter.
struct SpanEncoder {
    private enum Format {
        case v1Thrift(ZipkinV1Thrift)
        case v1JSON(ZipkinV1JSON)
        case v2JSON(ZipkinV2JSON)
        case v2Proto(ZipkinV2Proto)
        case otlp(OTLPProtobuf)
    }

    let frame: BatchFrame
    private let tags: TagWriter
    private var format: Format

    init(_ encoding: SpanEncoding, profile: TagProfile, names: SpanNames) {
        frame = BatchFrame(encoding, names: names)
        tags = TagWriter(profile, names: names)
        format =
            switch encoding {
            case .zipkinV1Thrift: .v1Thrift(ZipkinV1Thrift(names))
            case .zipkinV1JSON: .v1JSON(ZipkinV1JSON(names))
            case .zipkinV2JSON: .v2JSON(ZipkinV2JSON(names))
            case .zipkinV2Proto: .v2Proto(ZipkinV2Proto(names))
            case .otlpProtobuf: .otlp(OTLPProtobuf())
            }
    }

    /// Appends one span.
    mutating func encode(_ span: borrowing SpanRecord, into out: inout ByteWriter) {
        switch format {
        case .v1Thrift(var inner): tags.write(span, with: &inner, into: &out)
        case .v1JSON(var inner): tags.write(span, with: &inner, into: &out)
        case .v2JSON(var inner): tags.write(span, with: &inner, into: &out)
        case .v2Proto(var inner): tags.write(span, with: &inner, into: &out)
        case .otlp(var inner): tags.write(span, with: &inner, into: &out)
        }
    }
}
