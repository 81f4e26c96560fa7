// SPDX-License-Identifier: Apache-2.0
import Glibc
import HTTP1
import SpanEmitter
import TLS

/// Why an exchange could not be completed. Every failure in the proxy ends as one of these,
/// and this file alone decides what the downstream, the span and the log are told.
enum ProxyError: Error, BitwiseCopyable, Equatable {
    case malformedRequest(SyntaxError)
    case requestTimedOut
    case bodyTooLarge
    case headTooLarge
    case noRoute
    /// The upstream's name has no address yet, or no longer.
    case noAddress
    case connectFailed(errno: CInt)
    case connectTimedOut
    /// The upstream closed or reset before a whole response head.
    case upstreamClosed
    case malformedResponse(SyntaxError)
    /// A 101 nobody asked for, or to another protocol (RFC 9110 §15.2.2).
    case unexpectedUpgrade
    /// More than ``Exchange/interimLimit`` interim responses.
    case tooManyInterimResponses
    case responseTimedOut
    /// The response was cut short after its head had been passed on.
    case responseTruncated
    /// No buffer could be had, within the bound of the pool.
    case outOfBuffers
    case downstreamGone
    /// The grace of a shutdown has passed.
    case shuttingDown
    /// Every endpoint fails its health checks or is ejected, and panic mode is off.
    case noHealthyUpstream
    /// Bytes came on a new connection before a request had gone out (RFC 9112 §6.3).
    case unaskedResponse
    /// The upstream's bounds are reached, and those that may wait do, or this one has waited long enough.
    case upstreamOverflow
    /// The request has passed this proxy ``HopCount/limit`` times.
    case loopDetected
    /// The body comes below the listener's rate.
    case requestTooSlow
    /// The worker's buffers run short: ``OverloadStage/requests``.
    case overloaded
    /// This process may open no more sockets.
    case outOfDescriptors
    /// The caller's own deadline has passed (`grpc-timeout`).
    case callOverdue
    /// TLS to the upstream did not come about, or ended by the peer's alert before a response.
    case tlsFailed(TLSFailure)
    /// Plain HTTP where the listener speaks TLS.
    case plainHTTP
    /// A TLS handshake where the listener does not speak TLS.
    case tlsOnPlainPort
    /// The connection's certificate is not the one of this host (RFC 9110 §15.5.20).
    case misdirected

    /// What a connect that failed at once means: not every reason is the upstream's.
    static func connecting(errno: CInt) -> ProxyError {
        switch errno {
        case EMFILE, ENFILE: .outOfDescriptors
        default: .connectFailed(errno: errno)
        }
    }

    /// The response status (RFC 9110 §15.5–15.6); 0 when nobody is left to tell.
    var status: UInt16 {
        switch self {
        case .malformedRequest(let error): error.status
        case .plainHTTP, .tlsOnPlainPort: 400
        case .requestTimedOut, .requestTooSlow: 408
        case .bodyTooLarge: 413
        case .headTooLarge: 431
        case .misdirected: 421
        case .noRoute: 404
        case .noAddress, .connectFailed, .connectTimedOut, .outOfBuffers, .noHealthyUpstream, .upstreamOverflow,
            .overloaded, .outOfDescriptors, .tlsFailed(.outOfMemory):
            503
        case .upstreamClosed, .malformedResponse, .unexpectedUpgrade, .tooManyInterimResponses, .unaskedResponse: 502
        case .responseTimedOut, .callOverdue, .tlsFailed(.timedOut): 504
        case .tlsFailed: 502
        case .loopDetected: 508
        case .responseTruncated, .downstreamGone, .shuttingDown: 0
        }
    }

    /// One line for the reply's body.
    var reason: StaticString {
        switch self {
        case .malformedRequest(let error): error.reason
        case .requestTimedOut: "the request did not arrive in time"
        case .bodyTooLarge: "the request body is larger than this proxy accepts"
        case .headTooLarge: "the request head leaves no room for the trace fields"
        case .noRoute: "no route matches this request"
        case .noAddress: "dns: the upstream's name has no address"
        case .connectFailed(ECONNREFUSED): "the upstream refused the connection"
        case .connectFailed: "the upstream could not be reached"
        case .connectTimedOut: "the upstream did not accept the connection in time"
        case .upstreamClosed: "the upstream closed the connection without a response"
        case .malformedResponse: "the upstream's response is malformed"
        case .unexpectedUpgrade: "the upstream switched to a protocol nobody asked for"
        case .tooManyInterimResponses: "the upstream sent too many interim responses"
        case .responseTimedOut: "the upstream did not respond in time"
        case .responseTruncated: "the upstream's response was cut short"
        case .outOfBuffers: "this proxy is out of buffers"
        case .downstreamGone: "the caller closed the connection"
        case .shuttingDown: "this proxy is shutting down"
        case .noHealthyUpstream: "no healthy upstream: every endpoint fails its checks or is ejected"
        case .unaskedResponse: "the upstream spoke before it was asked"
        case .upstreamOverflow: "the upstream has as many requests as it may"
        case .loopDetected: "this request goes around in circles"
        case .requestTooSlow: "the request body arrived too slowly"
        case .overloaded: "this proxy is overloaded"
        case .outOfDescriptors: "this proxy is out of file descriptors"
        case .callOverdue: "the call's deadline has passed"
        case .tlsFailed: "TLS to the upstream failed: "
        case .plainHTTP: "The plain HTTP request was sent to a TLS port"
        case .tlsOnPlainPort: "a TLS handshake was sent to a plain HTTP port"
        case .misdirected: "this connection was made for another host; use one of its own"
        }
    }

    /// Goes behind ``reason``, on the same line; empty for most.
    var detail: StaticString {
        if case .tlsFailed(let failure) = self { failure.reason } else { "" }
    }

    /// OpenTelemetry's `error.type` of the spans it ends.
    var spanError: SpanError {
        switch self {
        case .malformedRequest, .plainHTTP, .tlsOnPlainPort: .malformedRequest
        case .requestTimedOut, .requestTooSlow, .responseTimedOut, .callOverdue: .timeout
        case .bodyTooLarge, .headTooLarge, .outOfBuffers, .upstreamOverflow, .loopDetected, .overloaded,
            .outOfDescriptors:
            .limit
        case .noRoute, .misdirected: .noRoute
        case .noAddress: .nameResolution
        case .connectFailed(ECONNREFUSED): .connectionRefused
        case .connectFailed, .noHealthyUpstream: .unavailable
        case .connectTimedOut: .connectTimeout
        case .upstreamClosed, .responseTruncated: .connectionReset
        case .malformedResponse, .unexpectedUpgrade, .tooManyInterimResponses, .unaskedResponse: .protocolError
        case .downstreamGone: .clientClosed
        case .shuttingDown: .shutdown
        case .tlsFailed(let failure): SpanError(failure)
        }
    }

    /// Whether what follows on the downstream connection cannot be read as another request.
    var breaksFraming: Bool {
        switch self {
        case .malformedRequest, .requestTimedOut, .requestTooSlow, .headTooLarge, .plainHTTP, .tlsOnPlainPort: true
        default: false
        }
    }

    /// Whether the upstream is at fault, for its counters; otherwise the request never reached it.
    var isUpstreamFault: Bool {
        switch self {
        case .noAddress, .connectFailed, .connectTimedOut, .upstreamClosed, .malformedResponse,
            .unexpectedUpgrade, .tooManyInterimResponses, .responseTimedOut, .responseTruncated,
            .noHealthyUpstream, .unaskedResponse:
            true
        case .tlsFailed(let failure): failure != .outOfMemory
        default: false
        }
    }
}
