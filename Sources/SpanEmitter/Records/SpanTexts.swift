// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// The texts of a request that its spans show, in a row inside their record: no reference, no
/// allocation, and a copy of the record takes only the bytes in use.
///
/// `unsafe` because they are written once per request, in place: an initializer of the array would
/// fill all of it each time.
@safe
public struct SpanTexts: BitwiseCopyable, Sendable {
    static let methodLimit = 16
    static let pathLimit = 192
    static let hostLimit = 64
    static let requestIDLimit = 64
    static let userAgentLimit = 96
    /// Of the two texts of TLS, which get what room the others leave.
    static let serverNameLimit = 64
    static let certificateNameLimit = 128

    /// Where the last text ends.
    private var end: UInt16 = 0
    // How long each text is; it begins where the one before ends. No limit is above 255.
    private var methodCount: UInt8 = 0
    private var pathCount: UInt8 = 0
    private var hostCount: UInt8 = 0
    private var requestIDCount: UInt8 = 0
    private var userAgentCount: UInt8 = 0
    private var serverNameCount: UInt8 = 0
    private var certificateNameCount: UInt8 = 0
    /// As many as ``capacity``.
    private var bytes = InlineArray<432, UInt8>(repeating: 0)
    /// The sum of the first five limits.
    private static let capacity = 432

    /// No texts.
    public init() {}

    /// Bytes in use, at the beginning of the array.
    var count: Int { Int(end) }
    /// The bytes in use lie at the end of this type's, so that a copy may stop behind them.
    static let byteOffset = MemoryLayout<SpanTexts>.offset(of: \.bytes) ?? 0

    /// Replaces all texts. Longer ones are cut to their limit, never inside a UTF-8 sequence.
    ///
    /// - Parameters:
    ///   - method: as received; matters for one without a number of its own.
    ///   - path: without query.
    public mutating func set(
        method: Span<UInt8>, path: Span<UInt8>, host: Span<UInt8>, requestID: Span<UInt8>, userAgent: Span<UInt8>
    ) {
        removeAll()
        methodCount = put(method, limit: Self.methodLimit)
        pathCount = put(path, limit: Self.pathLimit)
        hostCount = put(host, limit: Self.hostLimit)
        requestIDCount = put(requestID, limit: Self.requestIDLimit)
        userAgentCount = put(userAgent, limit: Self.userAgentLimit)
    }

    /// Adds those of a TLS connection, once, behind the others.
    ///
    /// - Parameters:
    ///   - serverName: the one the peer asked for.
    ///   - certificateName: whose certificate the peer has shown.
    public mutating func setTLS(serverName: Span<UInt8>, certificateName: Span<UInt8>) {
        serverNameCount = put(serverName, limit: min(Self.serverNameLimit, Self.capacity - count))
        certificateNameCount = put(certificateName, limit: min(Self.certificateNameLimit, Self.capacity - count))
    }

    /// Forgets all texts.
    public mutating func removeAll() {
        end = 0
        (methodCount, pathCount, hostCount, requestIDCount, userAgentCount) = (0, 0, 0, 0, 0)
        (serverNameCount, certificateNameCount) = (0, 0)
    }

    // bounded: put() keeps all texts in the array
    var method: Span<UInt8> {
        @_lifetime(borrow self)
        @inline(__always)
        borrowing get { bytes.span.extracting(range(methodCount, at: 0)) }
    }
    // bounded: put() keeps all texts in the array
    var path: Span<UInt8> {
        @_lifetime(borrow self)
        @inline(__always)
        borrowing get { bytes.span.extracting(range(pathCount, at: Int(methodCount))) }
    }
    // bounded: put() keeps all texts in the array
    var host: Span<UInt8> {
        @_lifetime(borrow self)
        @inline(__always)
        borrowing get { bytes.span.extracting(range(hostCount, at: Int(methodCount) + Int(pathCount))) }
    }
    // bounded: put() keeps all texts in the array
    var requestID: Span<UInt8> {
        @_lifetime(borrow self)
        @inline(__always)
        borrowing get { bytes.span.extracting(range(requestIDCount, at: userAgentStart - Int(requestIDCount))) }
    }
    // bounded: put() keeps all texts in the array
    var userAgent: Span<UInt8> {
        @_lifetime(borrow self)
        @inline(__always)
        borrowing get { bytes.span.extracting(range(userAgentCount, at: userAgentStart)) }
    }
    // bounded: put() keeps all texts in the array
    var serverName: Span<UInt8> {
        @_lifetime(borrow self)
        @inline(__always)
        borrowing get { bytes.span.extracting(range(serverNameCount, at: userAgentStart + Int(userAgentCount))) }
    }
    // bounded: put() keeps all texts in the array
    var certificateName: Span<UInt8> {
        @_lifetime(borrow self)
        @inline(__always)
        borrowing get { bytes.span.extracting(range(certificateNameCount, at: count - Int(certificateNameCount))) }
    }

    private var userAgentStart: Int {
        Int(methodCount) + Int(pathCount) + Int(hostCount) + Int(requestIDCount)
    }

    private func range(_ count: UInt8, at start: Int) -> Range<Int> { start..<start + Int(count) }

    /// - Returns: its length. The limits leave room for it: those of the first five add up to the capacity.
    private mutating func put(_ text: Span<UInt8>, limit: Int) -> UInt8 {
        let count = Self.cut(text, limit)
        let start = Int(end)
        var span = bytes.mutableSpan
        unsafe span.withUnsafeMutableBufferPointer { target in
            unsafe text.withUnsafeBufferPointer { source in
                guard let to = target.baseAddress, let from = source.baseAddress else { return }
                unsafe copySmall(from: from, to: to + start, count: count)
            }
        }
        end += UInt16(truncatingIfNeeded: count)
        return UInt8(truncatingIfNeeded: count)
    }

    private static func cut(_ text: Span<UInt8>, _ limit: Int) -> Int {
        guard text.count > limit else { return text.count }
        var end = limit
        // A sequence has at most three continuation bytes; more of them are no UTF-8 and may be cut anywhere.
        // bounded: the text is longer than the limit
        while end > 0, limit - end < 4, text[end] & 0xC0 == 0x80 { end -= 1 }
        return limit - end < 4 ? end : limit
    }
}
