// SPDX-License-Identifier: Apache-2.0

/// What spans of gRPC calls have beside, or instead of, those of other exchanges.
extension TagWriter {
    /// Leaves `pkg.Service/Method` in ``scratch``; a constant when there are too many.
    func writeCallName<Format: SpanFormat>(_ path: Span<UInt8>, as _: Format.Type) {
        let name = CallPath(path).name
        let isAdmitted = !name.isEmpty && callNames.admits(name)
        scratch.bytes.truncate(to: 0)
        Format.append(isAdmitted ? name : text(Word.other), to: &scratch.bytes)
    }

    func writeZipkinCall<Format: SpanFormat>(
        _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        writeCallPath(&span, &format, &out)
        writeStatus("grpc.status_code", &span, &format, &out)
        if span.grpcStatus.isKnown, span.grpcStatus != .ok {
            format.tag("rpc.error_code", ready: text(span.grpcStatus), into: &out)
        }
        writeMessages(&span, &format, &out)
    }

    func writeEnvoyCall<Format: SpanFormat>(
        _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        format.tag("grpc.path", span.texts.path, into: &out, unlessEmpty: true)
        format.tag("grpc.authority", span.texts.host, into: &out, unlessEmpty: true)
        writeStatus("grpc.status_code", &span, &format, &out)
        writeMessages(&span, &format, &out)
    }

    /// In place of the method and the parts of the URL.
    func writeOTelCall<Format: SpanFormat>(
        _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        format.tag("rpc.system", ready: text(Word.grpc), into: &out)
        writeCallPath(&span, &format, &out)
        writeStatus("rpc.grpc.status_code", &span, &format, &out)
        writeMessages(&span, &format, &out)
    }

    private func writeCallPath<Format: SpanFormat>(
        _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        let path = CallPath(span.texts.path)
        format.tag("rpc.service", path.service, into: &out, unlessEmpty: true)
        format.tag("rpc.method", path.method, into: &out, unlessEmpty: true)
    }

    private func writeStatus<Format: SpanFormat>(
        _ key: StaticString, _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        if span.grpcStatus.isKnown { format.tag(key, number: UInt64(span.grpcStatus.rawValue), into: &out) }
    }

    // MARK: Messages

    /// Counts always: a stream without messages is worth knowing. The last one's time if there are two.
    private func writeMessages<Format: SpanFormat>(
        _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        let (request, response) = (span.messages.request, span.messages.response)
        let late = span.microsecondsBehindServer
        format.tag("rpc.request.messages", number: UInt64(request.count), into: &out)
        format.tag("rpc.request.size", number: span.requestBytes, into: &out)
        if request.count > 0 {
            let first = after(late, UInt64(request.firstMicroseconds))
            format.tag("rpc.request.first_message_us", number: first, into: &out)
        }
        if request.count > 1 {
            format.tag("rpc.request.last_message_us", number: after(late, request.lastMicroseconds), into: &out)
        }
        format.tag("rpc.response.messages", number: UInt64(response.count), into: &out)
        format.tag("rpc.response.size", number: span.responseBytes, into: &out)
        if response.count > 0 {
            let first = after(late, UInt64(response.firstMicroseconds))
            format.tag("rpc.response.first_message_us", number: first, into: &out)
        }
        if response.count > 1 {
            format.tag("rpc.response.last_message_us", number: after(late, response.lastMicroseconds), into: &out)
        }
    }

    private func after(_ start: UInt64, _ time: UInt64) -> UInt64 { time - min(start, time) }
}
