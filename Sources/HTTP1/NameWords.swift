// SPDX-License-Identifier: Apache-2.0

/// A field name of at most 24 `tchar`s in lower case, as three words to compare with literals.
struct NameWords: BitwiseCopyable {
    let first: Word
    let second: Word
    let third: Word

    /// The name is the first 2 to 24 bytes.
    // bounded: by the name
    @inline(__always)
    init(_ bytes: Span<UInt8>, _ count: Int) {
        guard count >= 8 else {
            first = folded(Word(bytes, at: 0, count: count), count)
            (second, third) = (Word(bits: 0), Word(bits: 0))
            return
        }
        first = folded(Word(bytes, at: 0), 8)
        second = count > 8 ? tail(bytes, end: min(count, 16), count: min(count, 16) - 8) : Word(bits: 0)
        third = count > 16 ? tail(bytes, end: min(count, 24), count: min(count, 24) - 16) : Word(bits: 0)
    }
}

/// The last `count` of eight bytes, 1 to 8 of them.
@inline(__always)
private func tail(_ bytes: Span<UInt8>, end: Int, count: Int) -> Word {
    let eight = Word(bytes, at: end - 8)
    return folded(Word(bits: eight.bits &>> UInt64(truncatingIfNeeded: 64 &- 8 &* count)), count)
}

/// Letters in lower case, and zeros behind the name.
///
/// Setting bit 5 maps no other `tchar` to a letter, a digit or a hyphen, and our names have no others.
@inline(__always)
private func folded(_ word: Word, _ count: Int) -> Word {
    let mask = UInt64.max &>> UInt64(truncatingIfNeeded: 64 &- 8 &* count)
    return Word(bits: (word.bits | 0x2020_2020_2020_2020) & mask)
}
