// SPDX-License-Identifier: Apache-2.0
public struct TraceID: BitwiseCopyable, Hashable, Sendable { public var high, low: UInt64; public var isShort = false }
public struct SpanID: BitwiseCopyable, Hashable, Sendable { public var value: UInt64; public static let none = SpanID(value: 0); public var isNone: Bool { value == 0 } }
public enum Sampling: UInt8, BitwiseCopyable, Sendable { case undecided, deny, accept, debug }
public struct TraceContext: BitwiseCopyable, Equatable, Sendable { public var traceID: TraceID, spanID: SpanID, parentID: SpanID; public var sampling: Sampling; public var isRandom: Bool
  public init() { traceID = TraceID(high: 0, low: 0); spanID = .none; parentID = .none; sampling = .undecided; isRandom = false } }
public enum TraceFormat: UInt8, BitwiseCopyable, Sendable { case b3Single, b3Multi, traceContext }
public struct FormatList: BitwiseCopyable, Sendable { public init(_ a: [TraceFormat]) {}; public func contains(_ f: TraceFormat) -> Bool { f == .b3Multi } }
public enum Trust: UInt8, BitwiseCopyable, Sendable { case all, ids, none }
public enum SpanMode: UInt8, BitwiseCopyable, Sendable { case newChild, join, single }
public struct Extraction: BitwiseCopyable { public init(formats: FormatList) {}
  public mutating func offer(name: Span<UInt8>, value: Span<UInt8>) -> Bool { true }
  public func finish(trust: Trust) -> Extracted { Extracted() } }
public struct Extracted: BitwiseCopyable { public var context = TraceContext(); public var keepsTracestate: Bool { false } }
public struct Hop: BitwiseCopyable { public var server = TraceContext(); public var isShared = false
  public init() {}
  public static func traceID(for e: Extracted, bits: Int, random: inout some RandomNumberGenerator) -> TraceID { TraceID(high: random.next(), low: random.next()) }
  public init(_ e: Extracted, traceID: TraceID, mode: SpanMode, sampling: Sampling, random: inout some RandomNumberGenerator) { server.traceID = traceID; server.spanID = SpanID(value: random.next()); server.sampling = sampling }
  public func client(random: inout some RandomNumberGenerator) -> TraceContext { var c = server; c.parentID = server.spanID; c.spanID = SpanID(value: random.next()); return c } }
public enum Injection { public static let maximumByteCount = 1024
  public static func write(_ c: TraceContext, formats: FormatList, into out: inout OutputSpan<UInt8>) {
    for b in "X-B3-TraceId: ".utf8 { out.append(b) }
    hex(c.traceID.high, &out); hex(c.traceID.low, &out)
    for b in "\r\nX-B3-SpanId: ".utf8 { out.append(b) }
    hex(c.spanID.value, &out)
    for b in "\r\nX-B3-ParentSpanId: ".utf8 { out.append(b) }
    hex(c.parentID.value, &out)
    for b in "\r\nX-B3-Sampled: 1\r\n".utf8 { out.append(b) }
  }
  static func hex(_ v: UInt64, _ out: inout OutputSpan<UInt8>) { for i in (0..<16).reversed() { let n = UInt8(truncatingIfNeeded: v >> UInt64(4*i)) & 15; out.append(n < 10 ? 48 + n : 87 + n) } } }
public struct TraceState: ~Copyable { public init() {}; public mutating func reset() {}; public mutating func offer(_ v: Span<UInt8>) {}; public var byteCount: Int { 0 }; public func write(into out: inout OutputSpan<UInt8>) -> Bool { false } }
public enum SamplingRule: BitwiseCopyable, Sendable { case inherit, always, never }
public enum SamplingReason: UInt8, BitwiseCopyable, Sendable, CaseIterable { case probability }
public struct SamplingDecision: BitwiseCopyable { public var sampling: Sampling; public var reason: SamplingReason }
public struct SamplingThreshold: BitwiseCopyable, Sendable, Equatable { public static let always = SamplingThreshold() }
public struct Sampler: BitwiseCopyable { public init(threshold: SamplingThreshold, maxTracesPerSecond: Int, debugPerSecond: Int) {}
  public mutating func decide(_ e: Extracted, traceID: TraceID, rule: SamplingRule, nowMicroseconds: UInt64) -> SamplingDecision { SamplingDecision(sampling: .accept, reason: .probability) } }
public enum RequestID { public static func isAcceptable(_ v: Span<UInt8>) -> Bool { v.count <= 128 && v.count > 0 }
  public static func write(random: inout some RandomNumberGenerator, into out: inout OutputSpan<UInt8>) { for i in 0..<36 { out.append(UInt8(97 + i % 16)) }; _ = random.next(); _ = random.next() } }
