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

    /// Where each text ends; it begins where the one before ends.
    private var methodEnd: UInt16 = 0
    private var pathEnd: UInt16 = 0
    private var hostEnd: UInt16 = 0
    private var requestIDEnd: UInt16 = 0
    private var userAgentEnd: UInt16 = 0
    private var bytes = InlineArray<432, UInt8>(repeating: 0)  // the limits' sum

    /// No texts.
    public init() {}

    /// Bytes in use, at the beginning of the array.
    var count: Int { Int(userAgentEnd) }
    /// The bytes in use lie at the end of this type's, so that a copy may stop behind them.
    static let byteOffset = MemoryLayout<SpanTexts>.offset(of: \.bytes) ?? 0

    /// Replaces all texts. Longer ones are cut to their limit, never inside a UTF-8 sequence.
    ///
    /// - Parameters:
    ///   - method: as received; matters for an unknown one.
    ///   - path: without query.
    public mutating func set(
        method: Span<UInt8>, path: Span<UInt8>, host: Span<UInt8>, requestID: Span<UInt8>, userAgent: Span<UInt8>
    ) {
        methodEnd = put(method, at: 0, limit: Self.methodLimit)
        pathEnd = put(path, at: methodEnd, limit: Self.pathLimit)
        hostEnd = put(host, at: pathEnd, limit: Self.hostLimit)
        requestIDEnd = put(requestID, at: hostEnd, limit: Self.requestIDLimit)
        userAgentEnd = put(userAgent, at: requestIDEnd, limit: Self.userAgentLimit)
    }

    /// Forgets all texts.
    public mutating func removeAll() {
        (methodEnd, pathEnd, hostEnd, requestIDEnd, userAgentEnd) = (0, 0, 0, 0, 0)
    }

    // bounded: put() keeps the ends in order and in the array
    var method: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get { bytes.span.extracting(0..<Int(methodEnd)) }
    }
    // bounded: put() keeps the ends in order and in the array
    var path: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get { bytes.span.extracting(Int(methodEnd)..<Int(pathEnd)) }
    }
    // bounded: put() keeps the ends in order and in the array
    var host: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get { bytes.span.extracting(Int(pathEnd)..<Int(hostEnd)) }
    }
    // bounded: put() keeps the ends in order and in the array
    var requestID: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get { bytes.span.extracting(Int(hostEnd)..<Int(requestIDEnd)) }
    }
    // bounded: put() keeps the ends in order and in the array
    var userAgent: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get { bytes.span.extracting(Int(requestIDEnd)..<Int(userAgentEnd)) }
    }

    /// - Returns: where it ends. `start` and the limits leave room for it: they add up to the capacity.
    private mutating func put(_ text: Span<UInt8>, at start: UInt16, limit: Int) -> UInt16 {
        let count = Self.cut(text, limit)
        var span = bytes.mutableSpan
        unsafe span.withUnsafeMutableBufferPointer { target in
            unsafe text.withUnsafeBufferPointer { source in
                guard let to = target.baseAddress, let from = source.baseAddress else { return }
                unsafe copySmall(from: from, to: to + Int(start), count: count)
            }
        }
        return start + UInt16(truncatingIfNeeded: count)
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
