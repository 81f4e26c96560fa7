// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2
import SpanEmitter

/// An exchange that is a gRPC call: its deadline, its messages, and what its caller is told of failures.
extension Exchange {
    func beginCall(_ facts: RequestFacts, _ downstream: DownstreamConnection) {
        flags.insert(.isGRPC)
        call = GRPCCall()
        report.grpcBegan()
        guard let timeout = facts.grpcTimeoutMilliseconds else { return }
        downstream.due = Clock.monotonicMicroseconds + UInt64(timeout) * 1000
        downstream.setDeadline(withinDue: nil)
    }

    /// So many bytes have come at the end of the request's buffer, or of the response's.
    func noteReceived(request count: Int, in input: borrowing Buffer) {
        call.passed(request: input.readable.extracting(last: count))
    }

    func noteReceived(response count: Int, in input: borrowing Buffer) {
        call.passed(response: input.readable.extracting(last: count))
    }

    func noteCallHead(_ input: borrowing Buffer) { call.noteHead(input.readable, fields: worker.fields) }

    /// The attempt or the exchange is about to end.
    func reportCall() {
        if flags.contains(.isGRPC) { report.note(call) }
    }

    /// The call cannot be completed. If the response has begun, a status tells more than a reset.
    ///
    /// - Returns: what is to be reported, and whether the caller has been told a status. If not it must see a reset: its own
    ///   stream's, or the callee's passed on.
    func endCall(_ cause: ProxyError, _ downstream: DownstreamConnection) -> (error: ProxyError, tellsStatus: Bool) {
        // Callers keep their deadline themselves, and are a little earlier than we are.
        let error = cause == .downstreamGone && downstream.isOverdue ? .callOverdue : cause
        let resetCode = upstream?.stream?.resetCode
        call.status = resetCode.map { GRPCStatus(resetCode: $0.rawValue) } ?? error.grpcStatus
        guard flags.contains(.responseBegun), cause != .downstreamGone, resetCode == nil else { return (error, false) }
        var lines = Buffer(pool: worker.buffers)
        _ = lines.append {
            GRPCReply.writeTrailers(error.grpcStatus, reason: error.reason, detail: error.detail, into: &$0)
        }
        downstream.sendTrailers(lines.readable)
        return (error, true)
    }
}
