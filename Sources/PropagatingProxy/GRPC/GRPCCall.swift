// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import SpanEmitter

/// What passes of one gRPC call: its messages each way, and how it ends.
struct GRPCCall: BitwiseCopyable {
    private(set) var requests = MessageCounter()
    private(set) var responses = MessageCounter()
    /// Of the callee, or ours if it had to be told for it.
    var status = GRPCStatus.missing

    mutating func passed(request bytes: Span<UInt8>) { requests.passed(bytes, at: Clock.monotonicMicroseconds) }
    mutating func passed(response bytes: Span<UInt8>) { responses.passed(bytes, at: Clock.monotonicMicroseconds) }

    /// A response head that tells the status is the whole response (Trailers-Only).
    mutating func noteHead(_ bytes: Span<UInt8>, fields: borrowing FieldTable) {
        for index in 0..<fields.count where fields[index].kind == .grpcStatus {
            return status = GRPCStatus(text: bytes.extracting(fields[index].value.range))
        }
    }

    mutating func noteTrailers(_ lines: Span<UInt8>) { status = GRPCTrailers.status(in: lines) }
}
