// SPDX-License-Identifier: Apache-2.0
public import HTTP1
public import Propagation

/// One finished span as a worker hands it over: flat, copied into the ring, about half a KiB.
public struct SpanRecord: BitwiseCopyable, Sendable {
    public enum Kind: UInt8, BitwiseCopyable, Sendable { case server, client }

    public var traceID = TraceID(high: 0, low: 0)
    public var spanID = SpanID.none
    /// ``SpanID/none`` for a root.
    public var parentID = SpanID.none
    /// Microseconds since the epoch.
    public var startMicroseconds: UInt64 = 0
    /// From the monotonic clock; at least 1, because Zipkin reads 0 as "unknown".
    public var durationMicroseconds: UInt64 = 1
    /// Body bytes from the caller.
    public var requestBytes: UInt64 = 0
    /// Body bytes to the caller.
    public var responseBytes: UInt64 = 0

    public var kind = Kind.server
    /// The span id is the caller's own (join mode).
    public var isShared = false
    public var isDebug = false
    /// The parent is a span of another process.
    public var parentIsRemote = false
    /// 0: no response.
    public var status: UInt16 = 0
    public var error = SpanError.none
    public var method = Method.other
    public var httpMinorVersion: UInt8 = 1
    /// Attempts before this one.
    public var resendCount: UInt8 = 0
    /// Numbered from 1 in ``SpanNames/routes``; 0 is none.
    public var route: UInt16 = 0
    /// Numbered from 1 in ``SpanNames/upstreams``; 0 is none.
    public var upstream: UInt16 = 0
    /// Index in ``SpanNames/listeners``, from 0.
    public var listener: UInt16 = 0
    /// SERVER: the caller. CLIENT: the upstream's endpoint.
    public var peer = EndpointAddress()
    /// As received; matters for ``Method/other``.
    public var methodText = InlineText<16>()
    /// Without query.
    public var path = InlineText<192>()
    public var host = InlineText<64>()
    public var requestID = InlineText<64>()
    public var userAgent = InlineText<96>()

    public init() {}

    /// The other half of a span the caller reports.
    var isSharedServer: Bool { isShared && kind == .server }

    /// OpenTelemetry's rule: 5xx for both kinds, 4xx for CLIENT, no or no whole response; not a caller that left.
    var isError: Bool {
        if error == .clientClosed { return false }
        if status == 0 || status >= 500 { return true }
        if kind == .client, status >= 400 { return true }
        return error != .none && status < 400
    }
}
