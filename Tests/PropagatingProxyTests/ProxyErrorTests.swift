// SPDX-License-Identifier: Apache-2.0
import Glibc
import HTTP1
import SpanEmitter
import Testing

@testable import PropagatingProxy

@Suite("Failures and what the downstream is told (RFC 9110 §15)")
struct ProxyErrorTests {
    @Test(
        "Each failure has its status and its error type",
        arguments: [
            (ProxyError.malformedRequest(.invalidFieldName), 400 as UInt16, SpanError.malformedRequest),
            (.malformedRequest(.tooManyFields), 431, .malformedRequest),
            (.malformedRequest(.targetTooLong), 414, .malformedRequest),
            (.malformedRequest(.unsupportedTransferCoding), 501, .malformedRequest),
            (.malformedRequest(.unsupportedVersion), 505, .malformedRequest),
            (.requestTimedOut, 408, .timeout),
            (.bodyTooLarge, 413, .limit),
            (.noRoute, 404, .noRoute),
            (.noAddress, 503, .nameResolution),
            (.noHealthyUpstream, 503, .unavailable),
            (.connectFailed(errno: ECONNREFUSED), 503, .connectionRefused),
            (.connectTimedOut, 503, .connectTimeout),
            (.upstreamClosed, 502, .connectionReset),
            (.malformedResponse(.invalidStatusLine), 502, .protocolError),
            (.responseTimedOut, 504, .timeout),
            (.downstreamGone, 0, .clientClosed),
            (.unaskedResponse, 502, .protocolError),
            (.upstreamOverflow, 503, .limit),
            (.loopDetected, 508, .limit),
            (.requestTooSlow, 408, .timeout),
            (.overloaded, 503, .limit),
            (.plainHTTP, 400, .malformedRequest),
            (.tlsOnPlainPort, 400, .malformedRequest),
            (.misdirected, 421, .noRoute),
            (.connecting(errno: EMFILE), 503, .limit),
            (.connecting(errno: ECONNREFUSED), 503, .connectionRefused),
            (.tlsFailed(.expired), 502, SpanError(.expired)),
            (.tlsFailed(.timedOut), 504, SpanError(.timedOut)),
            (.tlsFailed(.outOfMemory), 503, SpanError(.outOfMemory)),
        ])
    func status(error: ProxyError, status: UInt16, type: SpanError) {
        #expect(error.status == status)
        #expect(error.spanError == type)
    }

    @Test("Every failure has a label of its own in the metrics")
    func labels() {
        let errors: [ProxyError] = [
            .malformedRequest(.invalidHost), .requestTimedOut, .bodyTooLarge, .headTooLarge, .noRoute, .noAddress,
            .connectFailed(errno: 1), .connectTimedOut, .upstreamClosed, .malformedResponse(.invalidHost),
            .unexpectedUpgrade, .tooManyInterimResponses, .responseTimedOut, .responseTruncated, .outOfBuffers,
            .downstreamGone, .shuttingDown, .noHealthyUpstream, .unaskedResponse, .upstreamOverflow, .loopDetected,
            .requestTooSlow, .overloaded, .outOfDescriptors, .callOverdue, .tlsFailed(.expired),
            .plainHTTP, .tlsOnPlainPort, .misdirected,
        ]
        #expect(errors.map(\.labelIndex) == Array(ProxyError.labels.indices))
        #expect(Set(ProxyError.labels).count == ProxyError.labels.count)
    }
}
