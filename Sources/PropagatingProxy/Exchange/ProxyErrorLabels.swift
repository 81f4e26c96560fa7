// SPDX-License-Identifier: Apache-2.0

extension ProxyError {
    /// Label values of the metrics, by ``labelIndex``: bounded, whatever peers do.
    static let labels = [
        "malformed_request", "request_timeout", "body_too_large", "head_too_large", "no_route", "no_address",
        "connect_failed", "connect_timeout", "upstream_closed", "malformed_response", "unexpected_upgrade",
        "too_many_interim_responses", "response_timeout", "response_truncated", "out_of_buffers", "downstream_gone",
        "shutting_down", "no_healthy_upstream", "unasked_response", "upstream_overflow", "loop_detected",
        "request_too_slow", "overload", "out_of_descriptors", "call_overdue", "tls_failed",
        "plain_http", "tls_on_plain_port", "misdirected",
    ]

    /// Where this error's label stands in ``labels``.
    var labelIndex: Int {
        switch self {
        case .malformedRequest: 0
        case .requestTimedOut: 1
        case .bodyTooLarge: 2
        case .headTooLarge: 3
        case .noRoute: 4
        case .noAddress: 5
        case .connectFailed: 6
        case .connectTimedOut: 7
        case .upstreamClosed: 8
        case .malformedResponse: 9
        case .unexpectedUpgrade: 10
        case .tooManyInterimResponses: 11
        case .responseTimedOut: 12
        case .responseTruncated: 13
        case .outOfBuffers: 14
        case .downstreamGone: 15
        case .shuttingDown: 16
        case .noHealthyUpstream: 17
        case .unaskedResponse: 18
        case .upstreamOverflow: 19
        case .loopDetected: 20
        case .requestTooSlow: 21
        case .overloaded: 22
        case .outOfDescriptors: 23
        case .callOverdue: 24
        case .tlsFailed: 25
        case .plainHTTP: 26
        case .tlsOnPlainPort: 27
        case .misdirected: 28
        }
    }
}
