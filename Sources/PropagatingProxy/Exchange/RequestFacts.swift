// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import Propagation

/// What one pass over a request's fields found: the trace context, and the values its span shows.
/// Fields that this proxy writes anew are marked removed on the way.
struct RequestFacts: BitwiseCopyable {
    let extracted: Extracted
    /// Minted when the received `x-request-id` is absent or not acceptable.
    private(set) var mintedRequestID: RequestIDText?
    /// Ranges into the head; empty when absent.
    private(set) var requestID = ByteRange.empty
    private(set) var userAgent = ByteRange.empty

    /// - Parameter bytes: the received head, at offset 0.
    init(
        _ bytes: Span<UInt8>, fields: inout FieldTable, listener: borrowing ListenerContext, worker: borrowing Worker
    ) {
        var extraction = Extraction(formats: listener.tracing.extract)
        worker.traceState.reset()
        for index in 0..<fields.count {
            let field = fields[index]
            switch field.kind {
            case .requestID:
                if requestID.isEmpty, RequestID.isAcceptable(bytes.extracting(field.value.range)) {
                    requestID = field.value
                } else {
                    fields.markRemoved(index)
                }
            case .userAgent: userAgent = field.value
            case .forwardedFor where listener.forwarded != .off: fields.markRemoved(index)
            case .forwardedProto where listener.forwarded == .overwrite: fields.markRemoved(index)
            case .forwardedHost where listener.forwarded == .overwrite: fields.markRemoved(index)
            case .b3, .b3TraceID, .b3SpanID, .b3ParentSpanID, .b3Sampled, .b3Flags, .traceparent, .tracestate:
                let value = bytes.extracting(field.value.range)
                _ = extraction.offer(name: bytes.extracting(field.name.range), value: value)
                fields.markRemoved(index)
                if field.kind == .tracestate { worker.traceState.offer(value) }
            default: break
            }
        }
        extracted = extraction.finish(trust: listener.trust)
        if !extracted.keepsTracestate { worker.traceState.reset() }
        if requestID.isEmpty { mintedRequestID = RequestIDText(random: &worker.random) }
    }
}
