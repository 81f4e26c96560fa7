// SPDX-License-Identifier: Apache-2.0
import HTTP1
import Propagation

/// What decides the whole text of a span but its ``SpanPart``s: spans of one shape differ in those only.
///
/// By the Zipkin profile, of plain HTTP exchanges: gRPC calls, other methods and TLS bring texts of their own.
struct SpanShape: Equatable, BitwiseCopyable {
    private let features: UInt64
    private let names: UInt64

    /// The shape of no span.
    init() { (features, names) = (0, 0) }

    /// - Returns: `nil` for a span that has texts beyond ``SpanPart``, or is of no year after 2000.
    init?(_ span: inout SpanRecord) {
        guard span.method != .other, span.security == .plain, !span.grpcStatus.isCall,
            ByteWriter.hasEpochDigits(span.startMicroseconds)
        else { return nil }
        var features: UInt64 = 1
        func add(_ isSo: Bool) { features = features << 1 | (isSo ? 1 : 0) }
        func add(_ byte: UInt8) { features = features << 8 | UInt64(byte) }
        add(span.kind == .server)
        add(span.isShared)
        add(span.isDebug)
        add(span.traceID.isShort)
        add(span.parentID.isNone)
        add(span.texts.path.isEmpty)
        add(span.texts.requestID.isEmpty)
        add(span.peer.port == 0)
        add(span.peer.byteCount)
        add(span.error.rawValue)
        add(span.method.rawValue)
        add(span.resendCount)
        self.features = features << 16 | UInt64(span.status)
        // Only SERVER spans tell their route.
        let route = span.kind == .server ? UInt64(span.route) : 0
        names = route << 32 | UInt64(span.upstream) << 16 | UInt64(span.listener)
    }

    /// One of `count` places, a power of two.
    func place(of count: Int) -> Int {
        let mixed = features ^ names &* 0x9E37_79B9_7F4A_7C15
        let folded = (mixed ^ mixed >> 32) &* 0xD6E8_FEB8_6659_FD93
        return Int(truncatingIfNeeded: folded >> 32) & (count - 1)
    }
}
