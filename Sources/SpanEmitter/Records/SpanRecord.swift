// SPDX-License-Identifier: Apache-2.0
public import HTTP1
public import Propagation

/// What a worker hands over when spans are finished: flat, copied into the ring.
///
/// It is one span, or two: a SERVER span brings the CLIENT span of its last attempt along, which
/// differs from it in what ``AttemptRecord`` holds. So most exchanges are one record.
public struct SpanRecord: BitwiseCopyable, Sendable {
    public enum Kind: UInt8, BitwiseCopyable, Sendable { case server, client }

    public var traceID = TraceID(high: 0, low: 0)
    // Seven fields of one byte fill the room that alignment leaves behind the id.
    public var kind = Kind.server
    /// The span id is the caller's own (join mode).
    public var isShared = false
    public var isDebug = false
    /// The parent is a span of another process.
    public var parentIsRemote = false
    public var error = SpanError.none
    public var method = Method.other
    public var httpVersion = HTTPVersion.http11

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

    /// 0: no response.
    public var status: UInt16 = 0
    /// Attempts before this one.
    public var resendCount: UInt8 = 0
    /// Whether ``attempt`` is a span to report too.
    public var hasAttempt = false
    /// How the call ended, if it is one; then ``messages`` count.
    public var grpcStatus = GRPCStatus.notGRPC
    /// SERVER: of the caller's connection. CLIENT: of the one to the upstream.
    public var security = SpanSecurity.plain
    /// Numbered from 1 in ``SpanNames/routes``; 0 is none.
    public var route: UInt16 = 0
    /// Numbered from 1 in ``SpanNames/upstreams``; 0 is none.
    public var upstream: UInt16 = 0
    /// Index in ``SpanNames/listeners``, from 0.
    public var listener: UInt16 = 0
    /// SERVER: the caller. CLIENT: the upstream's endpoint.
    public var peer = EndpointAddress()
    public var attempt = AttemptRecord()
    /// Only the bytes in use are copied, so nothing but ``messages`` may stand behind.
    public var texts = SpanTexts()
    /// Copied for a gRPC call only.
    public var messages = CallMessages()

    public init() {}

    /// Bytes before the texts' own: what every copy takes.
    static let fixedByteCount = (MemoryLayout<SpanRecord>.offset(of: \.texts) ?? 0) + SpanTexts.byteOffset

    /// How many spans this is.
    var spanCount: UInt64 { hasAttempt ? 2 : 1 }

    /// Becomes the CLIENT span of its attempt, or the SERVER span again.
    public mutating func swapAttempt() {
        swap(&spanID, &attempt.spanID)
        swap(&parentID, &attempt.parentID)
        swap(&startMicroseconds, &attempt.startMicroseconds)
        swap(&durationMicroseconds, &attempt.durationMicroseconds)
        swap(&peer, &attempt.peer)
        swap(&status, &attempt.status)
        kind = kind == .server ? .client : .server
        swap(&isShared, &attempt.isShared)
        swap(&parentIsRemote, &attempt.parentIsRemote)
        swap(&error, &attempt.error)
        swap(&resendCount, &attempt.resendCount)
        swap(&httpVersion, &attempt.httpVersion)
        swap(&grpcStatus, &attempt.grpcStatus)
        swap(&security, &attempt.security)
    }

    /// The other half of a span the caller reports.
    var isSharedServer: Bool { isShared && kind == .server }

    /// Microseconds from the SERVER span's start to this one's; 0 for the SERVER span.
    var microsecondsBehindServer: UInt64 {
        guard kind == .client, startMicroseconds > attempt.startMicroseconds else { return 0 }
        return startMicroseconds - attempt.startMicroseconds
    }

    /// Envoy's rule for gRPC, the same for both kinds.
    var isFaultyCall: Bool { grpcStatus.isCall && grpcStatus.isServerFault && error != .clientClosed }

    /// OpenTelemetry's rule: 5xx for both kinds, 4xx for CLIENT, no or no whole response; not a caller that left.
    /// A gRPC call is judged by its status: any but OK for CLIENT, the callee's faults for SERVER.
    var isError: Bool {
        switch error {
        case .clientClosed: false
        case _ where grpcStatus.isCall: kind == .client ? grpcStatus != .ok : grpcStatus.isServerFault
        case .none: status == 0 || status >= (kind == .client ? 400 : 500)
        default: kind == .client || !(400..<500).contains(status)
        }
    }
}

/// One attempt to get a response: what its CLIENT span does not share with the SERVER span.
public struct AttemptRecord: BitwiseCopyable, Sendable {
    public var spanID = SpanID.none
    /// The SERVER span's id.
    public var parentID = SpanID.none
    /// Microseconds since the epoch.
    public var startMicroseconds: UInt64 = 0
    /// At least 1.
    public var durationMicroseconds: UInt64 = 1
    /// The upstream's endpoint.
    public var peer = EndpointAddress()
    public var security = SpanSecurity.plain
    /// 0: no response.
    public var status: UInt16 = 0
    var isShared = false
    var parentIsRemote = false
    public var error = SpanError.none
    /// Attempts before this one.
    public var resendCount: UInt8 = 0
    public var httpVersion = HTTPVersion.http11
    public var grpcStatus = GRPCStatus.notGRPC

    public init() {}
}
