// SPDX-License-Identifier: Apache-2.0
import EventLoop
import SpanEmitter

/// How a gRPC caller is told of a failure of ours: by status and message, never by an HTTP status.
enum GRPCReply {
    /// A response of a head alone, which becomes one HEADERS frame if its end follows at once (Trailers-Only).
    ///
    /// - Parameter detail: goes behind the reason.
    static func writeHead(
        _ status: GRPCStatus, reason: StaticString, detail: StaticString = "", into out: inout OutputSpan<UInt8>
    ) {
        out.write("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n")
        writeTrailers(status, reason: reason, detail: detail, into: &out)
        out.write("\r\n")
    }

    /// Trailer lines that end a response whose head has gone out.
    static func writeTrailers(
        _ status: GRPCStatus, reason: StaticString, detail: StaticString = "", into out: inout OutputSpan<UInt8>
    ) {
        out.write("grpc-status: ")
        out.write(decimal: UInt64((status.isKnown ? status : .unknown).rawValue))
        out.write("\r\ngrpc-message: ")
        out.write(percentEncoding: reason)
        out.write(percentEncoding: detail)
        out.write("\r\n")
    }
}
