// SPDX-License-Identifier: Apache-2.0

/// Writes records in the encoding and profile of one exporter.
struct SpanEncoder {
    let frame: BatchFrame
    /// Of one ``FormatWriter``.
    private let write: (inout SpanRecord, inout ByteWriter) -> Void

    /// - Parameter callNames: of one exporter.
    init(_ encoding: SpanEncoding, profile: TagProfile, names: SpanNames, callNames: CallNames = CallNames()) {
        frame = BatchFrame(encoding, names: names)
        func writer<Format: SpanFormat>(_ format: Format) -> FormatWriter<Format> {
            FormatWriter(
                format, TagWriter(profile, names: names, callNames: callNames, prepare: Format.append(_:to:)))
        }
        switch encoding {
        case .zipkinV1Thrift: write = writer(ZipkinV1Thrift(names)).write
        case .zipkinV1JSON: write = writer(ZipkinV1JSON(names)).write
        case .zipkinV2JSON: write = writer(ZipkinV2JSON(names)).write
        case .zipkinV2Proto: write = writer(ZipkinV2Proto(names)).write
        case .otlpProtobuf: write = writer(OTLPProtobuf()).write
        }
    }

    /// Appends the span a record is, without its attempt's.
    ///
    /// - Parameter span: here and in all that writes it `inout` and not changed: borrowed, a value of
    ///   this size is copied by every call.
    func encode(_ span: inout SpanRecord, into out: inout ByteWriter) { write(&span, &out) }
}

/// One format and the tags it writes.
private final class FormatWriter<Format: SpanFormat> {
    private var format: Format
    private let tags: TagWriter

    init(_ format: Format, _ tags: consuming TagWriter) {
        self.format = format
        self.tags = tags
    }

    func write(_ span: inout SpanRecord, into out: inout ByteWriter) {
        tags.write(&span, with: &format, into: &out)
    }
}
