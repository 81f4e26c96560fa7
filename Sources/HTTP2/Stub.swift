public import EventLoop
public struct HTTP2ErrorCode: RawRepresentable, BitwiseCopyable, Equatable, Sendable {
    public var rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let noError = HTTP2ErrorCode(rawValue: 0)
    public static let protocolError = HTTP2ErrorCode(rawValue: 1)
    public static let internalError = HTTP2ErrorCode(rawValue: 2)
    public static let settingsTimeout = HTTP2ErrorCode(rawValue: 4)
    public static let refusedStream = HTTP2ErrorCode(rawValue: 7)
    public static let cancel = HTTP2ErrorCode(rawValue: 8)
    public static let enhanceYourCalm = HTTP2ErrorCode(rawValue: 11)
}
public struct HTTP2Limits: BitwiseCopyable, Sendable { public var concurrentStreams = 100; public init() {} }
public enum HTTP2Limit: Int, CaseIterable, Sendable { case resets; public var label: String { "x" } }
public typealias HTTP2LimitCounts = InlineArray<12, UInt64>
public enum HTTP2Error: Error { case outOfMemory }
public final class HTTP2Session {
    public enum Role: Sendable { case server, client }
    public init(_ role: Role, limits: HTTP2Limits, buffers: BufferPool) throws(HTTP2Error) {}
    public var onDirty: () -> Void = {}
    public func receive(_ bytes: Span<UInt8>, nowMicroseconds: UInt64) -> Bool { true }
    public func write(into out: inout Buffer) {}
    public var wantsWrite: Bool { false }
    public var isFinished: Bool { false }
    public var shouldPauseReading: Bool { false }
    public var counts: InlineArray<12, UInt64> { .init(repeating: 0) }
    public var limitsReached: Int { 0 }
    public var hasPeerSettings: Bool { false }
    public var isSettingsAcknowledged: Bool { false }
    public func takeNews() -> HTTP2Stream? { nil }
    public var streamCount: Int { 0 }
    public var mayOpen: Bool { false }
    public func open() -> HTTP2Stream? { nil }
    public func announceGoAway() {}
    public func goAway(_ code: HTTP2ErrorCode) {}
    public var goAwayReceived: HTTP2ErrorCode? { nil }
    public func connectionLost() {}
    public private(set) var exceeded: HTTP2Limit?
}
public final class HTTP2Stream: Carrier {
    public private(set) var id: Int32 = 0
    public var isNew: Bool { false }
    public var endedWithHead: Bool { false }
    public var readiness: Readiness { [] }
    public var resetCode: HTTP2ErrorCode? { nil }
    public var isUnprocessed: Bool { false }
    public var refusal: UInt16 { 0 }
    public func reset(_ code: HTTP2ErrorCode) {}
    public var cutCode = HTTP2ErrorCode.internalError
}
