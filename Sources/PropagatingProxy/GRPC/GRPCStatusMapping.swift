// SPDX-License-Identifier: Apache-2.0
import SpanEmitter

/// What other protocols' failures mean to a gRPC caller.
extension GRPCStatus {
    /// Of a response without `grpc-status`, as gRPC's libraries read it. For spans: the response goes on as it is.
    init(httpStatus: UInt16) {
        self =
            switch httpStatus {
            case 400, 431: .internalError
            case 401: .unauthenticated
            case 403: .permissionDenied
            case 404: .unimplemented
            case 429, 502, 503, 504: .unavailable
            default: .unknown
            }
    }

    /// Of a stream that was reset.
    ///
    /// - Parameter resetCode: of RST_STREAM (RFC 9113 §7).
    init(resetCode: UInt32) {
        self =
            switch resetCode {
            case 0x0...0x4, 0x6, 0x9, 0xa: .internalError  // also NO_ERROR: a call does not end without its status
            case 0x7: .unavailable  // REFUSED_STREAM: nothing was done
            case 0x8: .cancelled  // CANCEL
            case 0xb: .resourceExhausted  // ENHANCE_YOUR_CALM
            case 0xc: .permissionDenied  // INADEQUATE_SECURITY
            default: .unknown
            }
    }
}

extension ProxyError {
    /// What a gRPC caller is told instead of ``status``.
    var grpcStatus: GRPCStatus {
        switch self {
        case .malformedRequest where status == 414 || status == 431: .resourceExhausted
        case .malformedRequest, .plainHTTP, .tlsOnPlainPort, .malformedResponse, .unexpectedUpgrade,
            .tooManyInterimResponses, .unaskedResponse:
            .internalError
        case .requestTimedOut, .requestTooSlow, .responseTimedOut, .callOverdue: .deadlineExceeded
        case .bodyTooLarge, .headTooLarge, .outOfBuffers, .upstreamOverflow, .loopDetected, .overloaded,
            .outOfDescriptors:
            .resourceExhausted
        case .noRoute: .unimplemented
        case .noAddress, .connectFailed, .connectTimedOut, .upstreamClosed, .noHealthyUpstream, .responseTruncated,
            .shuttingDown, .tlsFailed, .misdirected:
            .unavailable
        case .downstreamGone: .cancelled
        }
    }
}
