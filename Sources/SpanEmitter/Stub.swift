// SPDX-License-Identifier: Apache-2.0
public import EventLoop
public import HTTP1
public import Propagation
public struct InlineText<let capacity: Int>: BitwiseCopyable, Sendable { var bytes = InlineArray<capacity, UInt8>(repeating: 0); public var count: UInt8 = 0; public init() {}
  public init(_ b: Span<UInt8>) { let n = min(b.count, capacity); for i in 0..<n { bytes[i] = b[i] }; count = UInt8(n) } }
public enum SpanError: UInt8, BitwiseCopyable, Sendable { case none, timeout, connectionRefused, connectionReset, connectTimeout, nameResolution, protocolError, noRoute, malformedRequest, limit, clientClosed, unavailable, shutdown }
public struct EndpointAddress: BitwiseCopyable, Sendable { public var ip = InlineArray<16, UInt8>(repeating: 0); public var port: UInt16 = 0; public init() {}
 public init(_ a: SocketAddress) { ip = a.ip; port = a.port } }
public struct SpanRecord: BitwiseCopyable, Sendable { public enum Kind: UInt8, BitwiseCopyable, Sendable { case server, client }
 public var traceID = TraceID.none, spanID = SpanID.none, parentID = SpanID.none, kind = Kind.server, isShared = false, isDebug = false, parentIsRemote = false
 public var startMicroseconds: UInt64 = 0, durationMicroseconds: UInt64 = 0, status: UInt16 = 0, error = SpanError.none
 public var method = Method.get, methodText = InlineText<16>(), httpMinorVersion: UInt8 = 1, route: UInt16 = 0, upstream: UInt16 = 0, listener: UInt16 = 0
 public var path = InlineText<192>(), host = InlineText<64>(), requestID = InlineText<64>(), userAgent = InlineText<96>()
 public var peer = EndpointAddress(), resendCount: UInt8 = 0, requestBytes: UInt64 = 0, responseBytes: UInt64 = 0
 public init() {} }
public final class SpanRing: Sendable { public init() {}; public func push(_ r: borrowing SpanRecord) -> Bool { false } }
public struct SpanNames: Sendable { public init() {} }
public struct ExporterConfiguration: Sendable, Equatable {}
public struct SpanAccounting: Sendable {}
public final class SpanReporter: Sendable { let w: Bell; nonisolated(unsafe) let keep: [AnyObject]
 public init(exporters: [ExporterConfiguration], names: SpanNames, rings: [SpanRing], log: @escaping @Sendable (Int, String) -> Void) { let l = try! EventLoop(); let x = try! WakeUp(on: l) {}; w = x.bell; unsafe keep = [x, l] }
 public func start() throws(EventLoopError) {} ; public var bell: Bell { w }; public func stop(flushWithin: Int) -> Int { 0 }; public func snapshot() -> SpanAccounting { SpanAccounting() } }
