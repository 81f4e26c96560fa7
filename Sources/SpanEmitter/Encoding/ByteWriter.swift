// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Propagation

/// A growing run of bytes that encoders write into.
///
/// `unsafe` because an encoder appends some sixty pieces per span and `[UInt8]` pays a uniqueness
/// check, a capacity check and a call for each; here a piece is one comparison and one copy.
@safe
struct ByteWriter: ~Copyable {
    private var base: UnsafeMutablePointer<UInt8>
    private(set) var count = 0
    private var capacity: Int

    init(capacity: Int = 1024) {
        self.capacity = max(capacity, 64)
        unsafe base = .allocate(capacity: self.capacity)
    }

    deinit { unsafe base.deallocate() }

    /// What was written.
    var span: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get {
            let bytes = unsafe UnsafeBufferPointer(start: base, count: count)
            let span = unsafe Span<UInt8>(_unsafeElements: bytes)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// Forgets what was written after the first `count` bytes.
    mutating func truncate(to count: Int) { self.count = max(0, min(count, self.count)) }

    @inline(__always)
    private mutating func reserve(_ more: Int) {
        if capacity - count < more { grow(more) }
    }

    @inline(never)
    private mutating func grow(_ more: Int) {
        capacity = max(capacity * 2, count + more)
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        unsafe larger.update(from: base, count: count)
        unsafe base.deallocate()
        unsafe base = larger
    }

    @inline(__always)
    mutating func append(_ byte: UInt8) {
        reserve(1)
        unsafe base[count] = byte  // bounded: room was reserved
        count += 1
    }

    @inline(__always)
    mutating func append(_ text: StaticString) {
        let length = text.utf8CodeUnitCount
        reserve(length)
        unsafe copySmall(from: text.utf8Start, to: base + count, count: length)
        count += length
    }

    @inline(__always)
    mutating func append(_ bytes: Span<UInt8>) {
        let length = bytes.count
        reserve(length)
        unsafe bytes.withUnsafeBufferPointer { source in
            guard let start = source.baseAddress else { return }
            unsafe copySmall(from: start, to: base + count, count: length)
        }
        count += length
    }

    /// Appends `length` bytes that lie in `bytes` from `start` on, in blocks of 32: it needs room behind them there.
    @inline(__always)
    mutating func append(_ length: Int, of bytes: Span<UInt8>, from start: Int) {
        let blocks = (length &+ 31) & ~31
        guard length >= 0, start >= 0, start &+ blocks <= bytes.count else { return }
        reserve(blocks)
        unsafe bytes.withUnsafeBytes { source in
            guard let first = source.baseAddress else { return }
            let (from, target) = unsafe (first + start, UnsafeMutableRawPointer(base + count))
            var offset = 0
            while offset < length {
                let low = unsafe from.loadUnaligned(fromByteOffset: offset, as: SIMD16<UInt8>.self)
                let high = unsafe from.loadUnaligned(fromByteOffset: offset &+ 16, as: SIMD16<UInt8>.self)
                unsafe target.storeBytes(of: low, toByteOffset: offset, as: SIMD16<UInt8>.self)
                unsafe target.storeBytes(of: high, toByteOffset: offset &+ 16, as: SIMD16<UInt8>.self)
                offset &+= 32
            }
        }
        count &+= length
    }

    /// Three constants in one step.
    @inline(__always)
    mutating func append(_ first: StaticString, _ second: StaticString, _ third: StaticString) {
        let (one, two, three) = (first.utf8CodeUnitCount, second.utf8CodeUnitCount, third.utf8CodeUnitCount)
        reserve(one + two + three)
        let target = unsafe base + count
        unsafe copySmall(from: first.utf8Start, to: target, count: one)
        unsafe copySmall(from: second.utf8Start, to: target + one, count: two)
        unsafe copySmall(from: third.utf8Start, to: target + one + two, count: three)
        count += one + two + three
    }

    /// Appends text if all of it is printable ASCII that JSON takes as it is; else nothing.
    mutating func appendIfPlain(_ text: Span<UInt8>) -> Bool { append(text, ifNone: oddBytes) }

    /// Appends text if all of it is ASCII; else nothing.
    mutating func appendIfASCII(_ text: Span<UInt8>) -> Bool { append(text) { $0 & highBits } }

    /// Appends text if none of its bytes is odd; else nothing. Sixteen bytes at a time.
    ///
    /// - Parameter oddBytes: 0 if none of sixteen bytes is; a blank is not.
    @inline(__always)
    private mutating func append(_ text: Span<UInt8>, ifNone oddBytes: (Bytes16) -> Bytes16) -> Bool {
        let length = text.count
        reserve(length)
        let isPlain = unsafe Self.copy(text, to: base + count, ifNone: oddBytes)
        if isPlain { count += length }
        return isPlain
    }

    /// Copies text to where there is room for it; answers whether none of its bytes is odd.
    @inline(__always)
    private static func copy(
        _ text: Span<UInt8>, to place: UnsafeMutablePointer<UInt8>, ifNone oddBytes: (Bytes16) -> Bytes16
    ) -> Bool {
        let length = text.count
        let target = UnsafeMutableRawPointer(place)
        return unsafe text.withUnsafeBytes { source in
            var odd = Bytes16.zero
            switch length {
            case 16...:
                var index = 0
                while index < length {
                    // The last ones overlap those before.
                    let place = min(index, length &- 16)
                    let bytes = unsafe source.loadUnaligned(fromByteOffset: place, as: Bytes16.self)
                    odd |= oddBytes(bytes)
                    unsafe target.storeBytes(of: bytes, toByteOffset: place, as: Bytes16.self)
                    index &+= 16
                }
            case 8...15:
                let first = unsafe source.loadUnaligned(as: UInt64.self)
                let last = unsafe source.loadUnaligned(fromByteOffset: length - 8, as: UInt64.self)
                unsafe target.storeBytes(of: first, as: UInt64.self)
                unsafe target.storeBytes(of: last, toByteOffset: length - 8, as: UInt64.self)
                odd = oddBytes(Bytes16(first, last))
            case 4...7:
                let first = unsafe source.loadUnaligned(as: UInt32.self)
                let last = unsafe source.loadUnaligned(fromByteOffset: length - 4, as: UInt32.self)
                unsafe target.storeBytes(of: first, as: UInt32.self)
                unsafe target.storeBytes(of: last, toByteOffset: length - 4, as: UInt32.self)
                odd = oddBytes(Bytes16(repeating: UInt64(first) | UInt64(last) << 32))
            case 1...3:
                // bounded: one to three bytes
                let (first, middle, last) = unsafe (source[0], source[length / 2], source[length - 1])
                unsafe target.storeBytes(of: first, as: UInt8.self)
                unsafe target.storeBytes(of: middle, toByteOffset: length / 2, as: UInt8.self)
                unsafe target.storeBytes(of: last, toByteOffset: length - 1, as: UInt8.self)
                let all = 0x2020_2020_2000_0000 | UInt64(first) << 16 | UInt64(middle) << 8 | UInt64(last)
                odd = oddBytes(Bytes16(repeating: all))
            default: break
            }
            return odd.x | odd.y == 0
        }
    }

    /// Prepared bytes, such as an endpoint that is the same in every span.
    mutating func append(_ bytes: [UInt8]) { append(bytes.span) }

    mutating func append(_ other: borrowing ByteWriter) { append(other.span) }

    /// A text and a constant behind it, in one step.
    @inline(__always)
    mutating func append(_ text: Span<UInt8>, _ end: StaticString) {
        let (one, two) = (text.count, end.utf8CodeUnitCount)
        reserve(one + two)
        let target = unsafe base + count
        unsafe text.withUnsafeBufferPointer { source in
            guard let start = source.baseAddress else { return }
            unsafe copySmall(from: start, to: target, count: one)
        }
        unsafe copySmall(from: end.utf8Start, to: target + one, count: two)
        count += one + two
    }

    /// The last byte becomes another one.
    mutating func replaceLast(with byte: UInt8) {
        guard count > 0 else { return }
        unsafe base[count - 1] = byte  // bounded: there is one
    }

    /// 16 lower-case digits.
    @inline(__always)
    mutating func append(hex value: UInt64) {
        reserve(16)
        unsafe UnsafeMutableRawPointer(base + count).storeBytes(of: SIMD16(hexDigitsOf: value), as: SIMD16<UInt8>.self)
        count += 16
    }

    /// 16 lower-case digits in place of what was written there.
    @inline(__always)
    mutating func overwrite(hex value: UInt64, at place: Int) {
        guard place >= 0, place + 16 <= count else { return }
        unsafe UnsafeMutableRawPointer(base + place).storeBytes(of: SIMD16(hexDigitsOf: value), as: SIMD16<UInt8>.self)
    }

    /// Whether microseconds since 1970 take 16 digits: those of 2001 to 2286 do.
    static func hasEpochDigits(_ microseconds: UInt64) -> Bool {
        1_000_000_000_000_000..<10_000_000_000_000_000 ~= microseconds
    }

    /// Microseconds since 1970.
    @inline(__always)
    mutating func append(microseconds value: UInt64, known: inout EpochDigits) {
        guard Self.hasEpochDigits(value) else { return append(decimal: value) }
        reserve(16)
        count += 16
        overwrite(microseconds: value, known: &known, at: count - 16)
    }

    /// Those of 2001 to 2286 in place of 16 bytes that were written there.
    @inline(__always)
    mutating func overwrite(microseconds value: UInt64, known: inout EpochDigits, at place: Int) {
        guard place >= 0, place + 16 <= count else { return }
        let target = unsafe UnsafeMutableRawPointer(base + place)
        let (high, low) = value.quotientAndRemainder(dividingBy: 100_000_000)
        let number = UInt32(truncatingIfNeeded: high)
        if known.number != number { known = EpochDigits(number: number, digits: decimalDigits(number)) }
        unsafe target.storeBytes(of: known.digits, as: UInt64.self)
        unsafe target.storeBytes(
            of: decimalDigits(UInt32(truncatingIfNeeded: low)), toByteOffset: 8, as: UInt64.self)
    }

    /// Decimal digits without leading zeros.
    @inline(__always)
    mutating func append(decimal value: UInt64) {
        if value < 100_000_000 {
            reserve(8)
            append(decimalBelow100Million: UInt32(truncatingIfNeeded: value))
        } else {
            append(longDecimal: value)
        }
    }

    @inline(never)
    private mutating func append(longDecimal value: UInt64) {
        reserve(24)
        let (high, low) = value.quotientAndRemainder(dividingBy: 100_000_000)
        append(decimal: high)
        unsafe UnsafeMutableRawPointer(base + count).storeBytes(
            of: decimalDigits(UInt32(truncatingIfNeeded: low)), as: UInt64.self)
        count += 8
    }

    /// Four numbers with dots between them, the first in the lowest byte.
    mutating func append(dottedQuad quad: UInt32) {
        reserve(16)
        var rest = quad
        for _ in 0..<4 {
            let octet = rest & 0xFF
            rest >>= 8
            let tens = (octet &* 205) >> 11  // octet / 10, for what fits a byte
            let hundreds = (octet &* 41) >> 12
            let digits = hundreds | (tens &- hundreds &* 10) << 8 | (octet &- tens &* 10) << 16
            let leading = octet >= 100 ? 0 : octet >= 10 ? 1 : 2
            let text = (digits | 0x2E30_3030) &>> UInt32(truncatingIfNeeded: leading &* 8)
            unsafe UnsafeMutableRawPointer(base + count).storeBytes(of: text.littleEndian, as: UInt32.self)
            count &+= 4 &- leading
        }
        count -= 1  // the last dot
    }

    /// There is room for eight bytes.
    @inline(__always)
    private mutating func append(decimalBelow100Million value: UInt32) {
        count += unsafe Self.write(decimalBelow100Million: value, to: base + count)
    }

    /// - Parameter target: has room for eight bytes.
    /// - Returns: how many digits it took.
    @inline(__always)
    private static func write(decimalBelow100Million value: UInt32, to target: UnsafeMutablePointer<UInt8>) -> Int {
        let digits = decimalDigits(value)
        // The first digit that is not "0" is the first byte with a low bit beside those of "0".
        let leading = min((digits ^ 0x3030_3030_3030_3030).trailingZeroBitCount / 8, 7)
        unsafe UnsafeMutableRawPointer(target).storeBytes(
            of: digits &>> UInt64(truncatingIfNeeded: leading &* 8), as: UInt64.self)
        return 8 - leading
    }

    mutating func append<Number: FixedWidthInteger & BitwiseCopyable>(bigEndian value: Number) {
        let size = MemoryLayout<Number>.size
        reserve(size)
        unsafe UnsafeMutableRawPointer(base + count).storeBytes(of: value.bigEndian, as: Number.self)
        count += size
    }

    mutating func append<Number: FixedWidthInteger & BitwiseCopyable>(littleEndian value: Number) {
        append(bigEndian: value.byteSwapped)
    }

    /// A protocol buffers varint.
    @inline(__always)
    mutating func append(varint value: UInt64) {
        if value < 0x80 { append(UInt8(truncatingIfNeeded: value)) } else { append(longVarint: value) }
    }

    private mutating func append(longVarint value: UInt64) {
        guard value < 1 << 21 else { return append(bytewiseVarint: value) }
        append(shortVarint: UInt32(truncatingIfNeeded: value))
    }

    /// Two or three bytes, as ports and most durations take.
    private mutating func append(shortVarint value: UInt32) {
        reserve(4)
        let isThree = value >> 14 != 0
        let bytes = (value & 0x7F) | (value & 0x3F80) << 1 | (value & 0x1F_C000) << 2 | (isThree ? 0x8080 : 0x80)
        unsafe UnsafeMutableRawPointer(base + count).storeBytes(of: bytes.littleEndian, as: UInt32.self)
        count += isThree ? 3 : 2
    }

    /// Writes no byte behind it.
    @inline(never)
    private mutating func append(bytewiseVarint value: UInt64) {
        reserve(10)
        var rest = value
        while rest >= 0x80 {
            unsafe base[count] = UInt8(truncatingIfNeeded: rest) | 0x80  // bounded: room was reserved
            count &+= 1
            rest >>= 7
        }
        unsafe base[count] = UInt8(truncatingIfNeeded: rest)  // bounded: room was reserved
        count &+= 1
    }

    /// One or two bytes and eight behind them, in one step.
    @inline(__always)
    mutating func append<Prefix: FixedWidthInteger & BitwiseCopyable>(_ prefix: Prefix, bigEndian value: UInt64) {
        let size = MemoryLayout<Prefix>.size
        reserve(size + 8)
        let target = unsafe UnsafeMutableRawPointer(base + count)
        unsafe target.storeBytes(of: prefix.bigEndian, as: Prefix.self)
        unsafe target.storeBytes(of: value.bigEndian, toByteOffset: size, as: UInt64.self)
        count += size + 8
    }

    /// A map's entry of protocol buffers in one step: both texts are short, and its length takes one byte.
    ///
    /// - Parameter write: writes the value to where it belongs, where `valueLimit` bytes are free.
    /// - Returns: whether it was written; not if it is too long, or if `write` answered `nil` in place of a length.
    // bounded: six bytes beside the texts are reserved
    @inline(__always)
    private mutating func append(
        protoEntry tag: UInt8, _ key: StaticString, valueLimit: Int, write: (UnsafeMutablePointer<UInt8>) -> Int?
    ) -> Bool {
        let keyCount = key.utf8CodeUnitCount
        guard keyCount + valueLimit + 4 < 0x80 else { return false }
        reserve(keyCount + valueLimit + 6)
        let target = unsafe base + count
        guard let valueCount = unsafe write(target + keyCount + 6) else { return false }
        unsafe (target[0], target[1]) = (tag, UInt8(truncatingIfNeeded: keyCount + valueCount + 4))
        unsafe (target[2], target[3]) = (0x0A, UInt8(truncatingIfNeeded: keyCount))
        unsafe copySmall(from: key.utf8Start, to: target + 4, count: keyCount)
        unsafe (target[keyCount + 4], target[keyCount + 5]) = (0x12, UInt8(truncatingIfNeeded: valueCount))
        count += keyCount + valueCount + 6
        return true
    }

    /// - Parameter tag: the map's.
    /// - Returns: false, without a change, where the entry is long.
    @inline(__always)
    mutating func append(protoEntry tag: UInt8, _ key: StaticString, ready value: Span<UInt8>) -> Bool {
        let length = value.count
        return unsafe append(protoEntry: tag, key, valueLimit: length) { target in
            unsafe value.withUnsafeBufferPointer { source in
                if let start = source.baseAddress { unsafe copySmall(from: start, to: target, count: length) }
            }
            return length
        }
    }

    /// - Returns: false, without a change, where the entry is long, or its value is not all ASCII.
    @inline(__always)
    mutating func append(protoEntry tag: UInt8, _ key: StaticString, ifASCII value: Span<UInt8>) -> Bool {
        let length = value.count
        return unsafe append(protoEntry: tag, key, valueLimit: length) { target in
            unsafe Self.copy(value, to: target) { $0 & highBits } ? length : nil
        }
    }

    /// - Returns: false, without a change, for a number of more than eight digits.
    @inline(__always)
    mutating func append(protoEntry tag: UInt8, _ key: StaticString, number: UInt64) -> Bool {
        guard number < 100_000_000 else { return false }
        return unsafe append(protoEntry: tag, key, valueLimit: 8) { target in
            unsafe Self.write(decimalBelow100Million: UInt32(truncatingIfNeeded: number), to: target)
        }
    }

    /// Leaves room for the length of what comes next, which ``closeLength(at:)`` fills in.
    ///
    /// - Parameter size: bytes the length will most likely take, 1 or 2.
    /// - Returns: where what comes next begins.
    @inline(__always)
    mutating func openLength(_ size: Int) -> Int {
        reserve(size)
        count += size
        return count
    }

    /// Writes the length of everything from `start` on before it. If it takes other than `size` bytes, all of that moves.
    @inline(__always)
    mutating func closeLength(_ size: Int, at start: Int) {
        let length = count - start
        let before = start - size
        guard length >= 0, before >= 0 else { return }
        if size == 1, length < 0x80 {
            unsafe base[before] = UInt8(truncatingIfNeeded: length)  // bounded: what was left open
        } else if size == 2, 0x80..<0x4000 ~= length {
            unsafe base[before] = UInt8(truncatingIfNeeded: length) | 0x80  // bounded: what was left open
            unsafe base[before + 1] = UInt8(truncatingIfNeeded: length >> 7)  // bounded: what was left open
        } else {
            moveLength(size, at: start)
        }
    }

    /// `start` is at least `size`.
    @inline(never)
    private mutating func moveLength(_ size: Int, at start: Int) {
        let length = count - start
        unsafe (base + start - size).update(from: base + start, count: length)
        count -= size
        insertLength(at: start - size)
    }

    /// Puts the length of everything from `start` on before it: how protocol buffers frame what
    /// is written before its size is known.
    @inline(never)
    mutating func insertLength(at start: Int) {
        let length = count - start
        guard length >= 0 else { return }
        let size = varintSize(length)
        reserve(size)
        unsafe (base + start + size).update(from: base + start, count: length)
        count = start
        append(bytewiseVarint: UInt64(length))
        count += length
    }
}

/// The first eight of the sixteen digits of a time: they stay the same for 100 seconds.
struct EpochDigits: BitwiseCopyable {
    fileprivate var number: UInt32 = 0
    fileprivate var digits: UInt64 = 0

    init() {}

    fileprivate init(number: UInt32, digits: UInt64) { (self.number, self.digits) = (number, digits) }
}

/// A writer that is used again and again by one copyable owner.
final class ByteWriterBox {
    var bytes = ByteWriter()
}

/// Bytes a varint of `value` takes.
func varintSize(_ value: Int) -> Int {
    var size = 1
    var rest = value >> 7
    while rest > 0 {
        size += 1
        rest >>= 7
    }
    return size
}

/// The eight digits of a number below 10^8 as they lie in memory, leading zeros included: halves,
/// quarters and single digits are divided side by side in one word.
@inline(__always)
private func decimalDigits(_ value: UInt32) -> UInt64 {
    let fours = UInt64(value / 10_000) | UInt64(value % 10_000) << 32
    let hundreds = ((fours &* 10_486) >> 20) & 0x0000_007F_0000_007F
    let pairs = ((fours &- hundreds &* 100) << 16) &+ hundreds
    let tens = ((pairs &* 103) >> 10) & 0x000F_000F_000F_000F
    let digits = ((pairs &- tens &* 10) << 8) &+ tens
    return (digits | 0x3030_3030_3030_3030).littleEndian
}

private typealias Bytes16 = SIMD2<UInt64>

/// 0 if none of the bytes is a control, a quote, a backslash or beyond ASCII. May find plain ones odd, never the other way round.
@inline(__always)
private func oddBytes(_ bytes: Bytes16) -> Bytes16 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    func lacks(_ byte: UInt64) -> Bytes16 { (bytes ^ Bytes16(repeating: ones &* byte)) &- Bytes16(repeating: ones) }
    // A byte with a high bit is odd; of the others a subtraction sets it in those that are too small, or 0.
    let odd = bytes | (bytes &- Bytes16(repeating: ones &* 0x20)) | lacks(0x22) | lacks(0x5C) | lacks(0x7F)
    return odd & highBits
}

/// Computed: a constant of this type would be looked up each time.
@inline(__always)
private var highBits: Bytes16 { Bytes16(repeating: 0x8080_8080_8080_8080) }

func ends(_ text: Span<UInt8>, _ suffix: StaticString) -> Bool {
    let length = suffix.utf8CodeUnitCount
    guard text.count >= length else { return false }
    let start = unsafe suffix.utf8Start
    // bounded: the text is as long as the suffix
    for index in 0..<length where unsafe text[text.count - length + index] != start[index] { return false }
    return true
}
