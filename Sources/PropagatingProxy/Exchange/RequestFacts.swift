// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import Propagation

/// What one pass over a request's fields found: the trace context, and the values its span shows.
/// Fields that this proxy writes anew are marked removed on the way.
struct RequestFacts: BitwiseCopyable {
    let extracted: Extracted
    /// Minted when the received `x-request-id` is absent or not acceptable.
    private(set) var mintedRequestID: RequestID?
    /// Ranges into the head; empty when absent.
    private(set) var requestID = ByteRange.empty
    private(set) var userAgent = ByteRange.empty
    /// The request has gone around ``HopCount/limit`` times.
    private(set) var loops = false
    /// A gRPC call on an HTTP/2 stream.
    private(set) var isGRPC = false
    private(set) var grpcTimeoutMilliseconds: Int?

    /// - Parameter bytes: the received head, at offset 0.
    init(
        _ bytes: Span<UInt8>, fields: inout FieldTable, from downstream: borrowing DownstreamConnection,
        listener: borrowing ListenerContext, worker: borrowing Worker
    ) {
        let isTrusted = downstream.isTrusted
        var forwardedByteCount = 0
        worker.extraction.begin(formats: listener.tracing.extract)
        worker.traceState.reset()
        // An outsider's other fields are looked at too.
        var next = isTrusted ? fields.firstNotable : 0
        while next < fields.count {
            let index = next
            let field = fields[index]  // bounded: just compared
            next = isTrusted ? Int(field.nextNotable) : index + 1
            switch field.kind {
            case .requestID:
                if isTrusted, requestID.isEmpty, RequestID.isAcceptable(bytes.extracting(field.value.range)) {
                    requestID = field.value
                } else {
                    fields.markRemoved(index)
                }
            case .userAgent: userAgent = field.value
            case .contentType where downstream.hasStream:
                isGRPC = GRPCRequest.isGRPC(contentType: bytes.extracting(field.value.range))
            case .grpcTimeout:
                grpcTimeoutMilliseconds = GRPCRequest.timeoutMilliseconds(bytes.extracting(field.value.range))
            case .forwardedFor where isTrusted && listener.forwarded != .off:
                forwardedByteCount += Int(field.value.count)
                fields.markRemoved(index)
            case .forwardedProto where isTrusted && listener.forwarded == .overwrite: fields.markRemoved(index)
            case .forwardedHost where isTrusted && listener.forwarded == .overwrite: fields.markRemoved(index)
            case .forwardedClientCertificate: if !downstream.keepsCertificateField { fields.markRemoved(index) }
            case .forwarded, .forwardedFor, .forwardedProto, .forwardedHost:
                if !isTrusted { fields.markRemoved(index) }
            case .via: if HopCount.loops(via: bytes.extracting(field.value.range)) { loops = true }
            case .b3, .b3TraceID, .b3SpanID, .b3ParentSpanID, .b3Sampled, .b3Flags, .traceparent, .tracestate:
                let value = bytes.extracting(field.value.range)
                _ = worker.extraction.offer(name: bytes.extracting(field.name.range), value: value)
                fields.markRemoved(index)
                if field.kind == .tracestate { worker.traceState.offer(value) }
            case .other where !isTrusted:
                if FieldKind.vouchesForOrigin(name: bytes.extracting(field.name.range)) { fields.markRemoved(index) }
            default: break
            }
        }
        if worker.extraction.isEmpty {
            extracted = Extracted()
        } else {
            extracted = worker.extraction.finish(trust: listener.trust)
            if !extracted.keepsTracestate { worker.traceState.reset() }
        }
        if requestID.isEmpty { mintedRequestID = RequestID(random: &worker.random) }
        worker.surplusForwardedCount = 0
        if forwardedByteCount > ForwardedList.harmlessByteCount {
            lookAtForwarded(bytes, fields: fields, from: downstream, worker: worker)
        }
    }

    /// A long X-Forwarded-For: is it too long, or did we write it?
    private mutating func lookAtForwarded(
        _ bytes: Span<UInt8>, fields: borrowing FieldTable, from downstream: borrowing DownstreamConnection,
        worker: borrowing Worker
    ) {
        var (entries, own) = (0, 0)
        for index in 0..<fields.count where fields[index].kind == .forwardedFor {
            let list = bytes.extracting(fields[index].value.range)
            guard !list.isEmpty else { continue }
            entries += ForwardedList.entryCount(list)
            own += HopCount.count(of: downstream.peerText, inForwardedFor: list)
        }
        worker.surplusForwardedCount = max(0, entries - (ForwardedList.limit - 1))
        if own >= HopCount.limit { loops = true }
    }
}
