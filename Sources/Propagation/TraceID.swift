// SPDX-License-Identifier: Apache-2.0

/// A trace's identity: 128 bits, never zero once it is in use.
public struct TraceID: BitwiseCopyable, Hashable, Sendable {
    public var high: UInt64
    public var low: UInt64
    /// Received or drawn as 16 digits, and written so again; ``high`` is 0 then.
    public var isShort: Bool

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
        isShort = false
    }

    /// A 64-bit id.
    public init(short low: UInt64) {
        high = 0
        self.low = low
        isShort = true
    }

    /// No trace.
    public static let none = TraceID(high: 0, low: 0)

    public var isNone: Bool { high | low == 0 }

    /// Hex digits on the wire: 16 or 32.
    public var digitCount: Int { isShort ? 16 : 32 }

    /// Whether both name one trace: a 16-digit id is the 32-digit id with zeros in front.
    public func isSameTrace(as other: TraceID) -> Bool { high == other.high && low == other.low }

    /// Draws every bit, again while the id would be zero.
    @inlinable
    public static func draw(_ width: TraceIDWidth, from random: inout some RandomNumberGenerator) -> TraceID {
        let low = nonZero(from: &random)
        return width == .short ? TraceID(short: low) : TraceID(high: random.next(), low: low)
    }

    /// Appends ``digitCount`` lower-case digits; appends nothing when `out` has less room.
    public func write(into out: inout OutputSpan<UInt8>) {
        guard out.freeCapacity >= digitCount else { return }
        if !isShort { appendHex(high, to: &out) }
        appendHex(low, to: &out)
    }
}

/// One operation's identity within its trace: 64 bits.
public struct SpanID: BitwiseCopyable, Hashable, Sendable {
    public var value: UInt64

    @inlinable
    public init(_ value: UInt64) { self.value = value }

    /// No span: the parent of a root. Never written to the wire.
    public static let none = SpanID(0)

    public var isNone: Bool { value == 0 }

    /// Draws 64 bits, again while they are zero.
    @inlinable
    public static func draw(from random: inout some RandomNumberGenerator) -> SpanID { SpanID(nonZero(from: &random)) }

    /// Appends 16 lower-case digits; appends nothing when `out` has less room.
    public func write(into out: inout OutputSpan<UInt8>) {
        guard out.freeCapacity >= 16 else { return }
        appendHex(value, to: &out)
    }
}

/// How wide the trace ids are that we draw.
public enum TraceIDWidth: UInt8, BitwiseCopyable, Sendable {
    /// 16 digits, as py_zipkin writes them.
    case short
    /// 32 digits.
    case full
}

@inlinable
func nonZero(from random: inout some RandomNumberGenerator) -> UInt64 {
    var bits: UInt64 = random.next()
    while bits == 0 { bits = random.next() }
    return bits
}
