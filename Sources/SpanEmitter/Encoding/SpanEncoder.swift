// SPDX-License-Identifier: Apache-2.0

/// Writes records in the encoding and profile of one exporter.
struct SpanEncoder {
    let frame: BatchFrame
    /// Of one ``FormatWriter``: a call through it costs less than a copy of the format out of an enum.
    private let write: (borrowing SpanRecord, inout ByteWriter) -> Void

    init(_ encoding: SpanEncoding, profile: TagProfile, names: SpanNames) {
        frame = BatchFrame(encoding, names: names)
        let tags = TagWriter(profile, names: names)
        switch encoding {
        case .zipkinV1Thrift: write = FormatWriter(ZipkinV1Thrift(names), tags).write
        case .zipkinV1JSON: write = FormatWriter(ZipkinV1JSON(names), tags).write
        case .zipkinV2JSON: write = FormatWriter(ZipkinV2JSON(names), tags).write
        case .zipkinV2Proto: write = FormatWriter(ZipkinV2Proto(names), tags).write
        case .otlpProtobuf: write = FormatWriter(OTLPProtobuf(), tags).write
        }
    }

    /// Appends one span.
    func encode(_ span: borrowing SpanRecord, into out: inout ByteWriter) { write(span, &out) }
}

/// One format and the tags it writes.
private final class FormatWriter<Format: SpanFormat> {
    private var format: Format
    private let tags: TagWriter

    init(_ format: Format, _ tags: TagWriter) {
        self.format = format
        self.tags = tags
    }

    func write(_ span: borrowing SpanRecord, into out: inout ByteWriter) {
        tags.write(span, with: &format, into: &out)
    }
}
