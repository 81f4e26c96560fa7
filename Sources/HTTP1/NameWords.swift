// SPDX-License-Identifier: Apache-2.0

/// A field name of at most 24 `tchar`s in lower case, as three words to compare with literals.
struct NameWords: BitwiseCopyable {
    let first: Word
    let second: Word
    let third: Word

    init(_ bytes: Span<UInt8>, _ name: ByteRange) {
        first = foldedWord(bytes, name, from: 0)
        second = foldedWord(bytes, name, from: 8)
        third = foldedWord(bytes, name, from: 16)
    }
}

/// Letters in lower case, and zeros behind the name.
///
/// Setting bit 5 maps no other `tchar` to a letter, a digit or a hyphen, and our names have no others.
private func foldedWord(_ bytes: Span<UInt8>, _ name: ByteRange, from start: Int) -> Word {
    let count = min(Int(name.count) - start, 8)
    guard count > 0 else { return Word(bits: 0) }
    let mask = UInt64.max >> UInt64(64 - 8 * count)
    return Word(
        bits: (Word(bytes, at: Int(name.start) + start, count: count).bits | 0x2020_2020_2020_2020) & mask)
}
