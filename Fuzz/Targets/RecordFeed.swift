// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import Propagation

@testable import SpanEmitter

/// Span records and names out of an input.
extension Feed {
    private static let addresses = ["192.0.2.10", "0.0.0.0", "2001:db8::7", "::", "::ffff:192.0.2.1", ""]

    static func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    mutating func names() -> SpanNames {
        SpanNames(
            service: text(), version: text(), routes: [text()], upstreams: [text()], listeners: [endpoint()])
    }

    mutating func endpoint() -> EndpointAddress {
        let address = Self.addresses[Int(byte()) % Self.addresses.count]
        return SocketAddress(literal: address, port: number()).map { EndpointAddress($0) } ?? EndpointAddress()
    }

    mutating func record() -> SpanRecord {
        var span = SpanRecord()
        span.traceID = flag() ? TraceID(short: number()) : TraceID(high: number(), low: number())
        span.spanID = SpanID(number())
        span.parentID = SpanID(number())
        span.startMicroseconds = number()
        span.durationMicroseconds = number()
        span.requestBytes = number()
        span.responseBytes = number()
        span.kind = flag() ? .client : .server
        span.isShared = flag()
        span.isDebug = flag()
        span.parentIsRemote = flag()
        span.status = number()
        span.error = SpanError(rawValue: byte()) ?? .none
        span.method = HTTP1.Method(rawValue: byte()) ?? .other
        span.httpVersion = HTTPVersion(rawValue: byte() & 1) ?? .http11
        span.resendCount = byte()
        span.route = number()
        span.upstream = number()
        span.listener = number()
        span.peer = endpoint()
        let (method, path, host, requestID, userAgent) = (bytes(), bytes(), bytes(), bytes(), bytes())
        span.texts.set(
            method: method.span, path: path.span, host: host.span, requestID: requestID.span, userAgent: userAgent.span)
        span.hasAttempt = flag()
        span.attempt.spanID = SpanID(number())
        span.attempt.parentID = SpanID(number())
        span.attempt.startMicroseconds = number()
        span.attempt.durationMicroseconds = number()
        span.attempt.peer = endpoint()
        span.attempt.status = number()
        span.attempt.error = SpanError(rawValue: byte()) ?? .none
        span.attempt.resendCount = byte()
        return span
    }

    /// Makes a gRPC call of a record, or none: both its spans or neither.
    mutating func addCall(to span: inout SpanRecord) {
        guard flag() else { return }
        span.grpcStatus = GRPCStatus(rawValue: byte() % 18) ?? .missing
        span.attempt.grpcStatus = GRPCStatus(rawValue: byte() % 18) ?? .missing
        span.httpVersion = .http2
        span.messages.request = figures()
        span.messages.response = figures()
    }

    private mutating func figures() -> CallMessages.Figures {
        var figures = CallMessages.Figures()
        figures.count = number()
        figures.firstMicroseconds = number()
        figures.lastMicroseconds = number()
        return figures
    }
}
