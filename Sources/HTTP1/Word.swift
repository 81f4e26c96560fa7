// SPDX-License-Identifier: Apache-2.0

/// Eight bytes looked at together; the first one is the least significant.
///
/// The tests answer with the high bit of each byte that fails. Bits above the lowest one set may be
/// wrong, because subtraction borrows; the lowest never is, and only that one is used.
struct Word: BitwiseCopyable, Equatable {
    let bits: UInt64

    /// Up to eight characters of a literal; the compiler folds the loop into a constant.
    @inline(__always)
    init(_ literal: String) {
        var bits: UInt64 = 0
        var shift: UInt64 = 0
        for byte in literal.utf8 {
            bits |= UInt64(byte) << shift
            shift &+= 8
        }
        self.bits = bits
    }

    init(bits: UInt64) { self.bits = bits }

    /// `offset + 8` is at most `bytes.count`.
    // bounded: the caller has eight bytes
    @inline(__always)
    init(_ bytes: Span<UInt8>, at offset: Int) { self.init(bytes.extracting(offset..<offset &+ 8)) }

    /// The first eight of at least eight bytes. One loop over a span of known length becomes one load.
    // bounded: the caller has eight bytes
    @inline(__always)
    init(_ bytes: Span<UInt8>) {
        var bits: UInt64 = 0
        for index in 0..<8 { bits |= UInt64(bytes[index]) << UInt64(8 * index) }
        self.bits = bits
    }

    /// The `count` bytes from `offset` on, 0 to 8 of them, and zeros. Reads on behind them if it can:
    /// one load and a mask are faster than a loop.
    // bounded: the caller has `count` bytes
    init(_ bytes: Span<UInt8>, at offset: Int, count: Int) {
        guard bytes.count - offset < 8 else {
            bits =
                count > 0
                ? Word(bytes, at: offset).bits & (UInt64.max &>> UInt64(truncatingIfNeeded: 64 &- 8 &* count)) : 0
            return
        }
        // Or it can read on before them.
        if count > 0, offset + count >= 8 {
            bits = Word(bytes, at: offset + count - 8).bits &>> UInt64(truncatingIfNeeded: 64 &- 8 &* count)
            return
        }
        var bits: UInt64 = 0
        for index in 0..<count { bits |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
        self.bits = bits
    }

    /// Whether the first bytes are those of a literal of 1 to 8 characters.
    @inline(__always)
    func begins(_ literal: String) -> Bool {
        bits &<< UInt64(64 &- 8 &* literal.utf8.count) == Word(literal).bits &<< UInt64(64 &- 8 &* literal.utf8.count)
    }

    /// How many bytes come before the first control byte, tab and DEL included; `nil`: there is none.
    @inline(__always)
    var countBeforeControl: Int? {
        let below = (bits &- each(0x20)) & ~bits
        let delete = bits ^ each(0x7F)
        let equal = (delete &- each(1)) & ~delete
        return count(before: below | equal)
    }

    /// How many bytes come before the first that is no letter, digit or hyphen; `nil`: all are.
    @inline(__always)
    var countBeforeRareInName: Int? {
        // Zero plus 0x7F leaves the high bit clear.
        let isHyphen = ~((plain ^ each(0x2D)) &+ each(0x7F))
        return count(before: ~(letters | within(0x30, 0x39) | isHyphen) | bits)
    }

    /// How many bytes come before the first that is no letter, digit, hyphen or dot; `nil`: all are.
    @inline(__always)
    var countBeforeRareInHost: Int? { count(before: ~(letters | within(0x30, 0x39) | within(0x2D, 0x2E)) | bits) }

    /// How many bytes come before the first that is no letter, digit, hyphen, dot or slash; `nil`: all are.
    @inline(__always)
    var countBeforeRareInPath: Int? { count(before: ~(letters | within(0x2D, 0x39)) | bits) }

    /// Without the high bits, which no byte passes with.
    @inline(__always)
    private var plain: UInt64 { bits & each(0x7F) }

    @inline(__always)
    private var letters: UInt64 {
        let folded = plain | each(0x20)
        return (folded &+ each(0x80 - 0x61)) & ~(folded &+ each(0x80 - 0x7B))
    }

    @inline(__always)
    private func within(_ first: UInt64, _ last: UInt64) -> UInt64 {
        (plain &+ each(0x80 - first)) & ~(plain &+ each(0x7F - last))
    }

    @inline(__always)
    private func count(before failed: UInt64) -> Int? {
        let marks = failed & each(0x80)
        return marks == 0 ? nil : marks.trailingZeroBitCount >> 3
    }
}

/// `byte` in all eight places.
@inline(__always)
private func each(_ byte: UInt64) -> UInt64 { 0x0101_0101_0101_0101 &* byte }
