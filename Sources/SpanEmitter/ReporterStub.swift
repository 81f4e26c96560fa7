// SPDX-License-Identifier: Apache-2.0
public import EventLoop
public struct ExporterConfiguration: Sendable, Equatable { public var name: String; public init(name: String) { self.name = name } }
public struct SpanAccounting: Sendable { public var started: UInt64 = 0 }
public final class SpanReporter: Sendable { let w: Bell; nonisolated(unsafe) let keep: [AnyObject]
 public init(exporters: [ExporterConfiguration], names: SpanNames, rings: [SpanRing], log: @escaping @Sendable (Int, String) -> Void) { let l = try! EventLoop(); let x = try! WakeUp(on: l) {}; w = x.bell; unsafe keep = [x, l] }
 public func start() throws(EventLoopError) {} ; public var bell: Bell { w }; public func stop(flushWithin: Int) -> Int { 0 }; public func snapshot() -> SpanAccounting { SpanAccounting() } }
