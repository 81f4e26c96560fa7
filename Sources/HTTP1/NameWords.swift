// SPDX-License-Identifier: Apache-2.0

/// A field name of at most 24 `tchar`s in lower case, as words to compare with literals. Those of a name that is no multiple of
/// eight bytes overlap.
struct NameWords: BitwiseCopyable {
    /// Its first eight bytes, or all of a shorter name, and zeros.
    let first: Word
    /// The eight bytes behind those, of a name of more than 16.
    let middle: Word
    /// Its last eight bytes, of a name of more than 8.
    let last: Word

    /// The name is the first 2 to 24 bytes.
    // bounded: by the name
    @inline(__always)
    init(_ bytes: Span<UInt8>, _ count: Int) {
        guard count >= 8 else {
            let mask = UInt64.max &>> UInt64(truncatingIfNeeded: 64 &- 8 &* count)
            first = Word(bits: folded(Word(bytes, at: 0, count: count)).bits & mask)
            (middle, last) = (Word(bits: 0), Word(bits: 0))
            return
        }
        first = folded(Word(bytes))
        middle = count > 16 ? folded(Word(bytes, at: 8)) : Word(bits: 0)
        last = folded(Word(bytes, at: count - 8))
    }
}

/// Letters in lower case. Setting bit 5 maps no other `tchar` to a letter, a digit or a hyphen, and our names have no others.
@inline(__always)
private func folded(_ word: Word) -> Word { Word(bits: word.bits | 0x2020_2020_2020_2020) }
