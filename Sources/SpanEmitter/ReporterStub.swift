// SPDX-License-Identifier: Apache-2.0
public import EventLoop
public struct Secret: Sendable, Equatable, CustomStringConvertible { var text: String; public init(_ text: String) { self.text = text }; public var description: String { "***" } }
public enum CollectorURLError: Error { case bad }
public struct CollectorURL: Sendable, Equatable, CustomStringConvertible {
    public let text: String
    public init(_ text: String) throws(CollectorURLError) { guard text.hasPrefix("http://") else { throw .bad }; self.text = text }
    public var description: String { "***" }
}
public struct ExporterConfiguration: Sendable {
    public var name: String, endpoint: CollectorURL, encoding: SpanEncoding, profile: TagProfile, headers: [(String, Secret)]
    public var queueSpans = 10_000, queueBytes = 16 << 20, flushMilliseconds = 1000, batchBytes = 500_000, timeoutMilliseconds = 10_000
    public init(name: String, endpoint: CollectorURL, encoding: SpanEncoding, profile: TagProfile, headers: [(String, Secret)] = []) {
        self.name = name; self.endpoint = endpoint; self.encoding = encoding; self.profile = profile; self.headers = headers
    }
}
public struct SpanAccounting: Sendable { public var started: UInt64 = 0 }
public final class SpanReporter: Sendable { let w: Bell; nonisolated(unsafe) let keep: [AnyObject]
 public init(exporters: [ExporterConfiguration], names: SpanNames, rings: [SpanRing], log: @escaping @Sendable (Int, String) -> Void) { let l = try! EventLoop(); let x = try! WakeUp(on: l) {}; w = x.bell; unsafe keep = [x, l] }
 public func start() throws(EventLoopError) {} ; public var bell: Bell { w }; public func stop(flushWithin: Int) -> Int { 0 }; public func snapshot() -> SpanAccounting { SpanAccounting() } }
