// SPDX-License-Identifier: Apache-2.0

/// A position in a head of which the rest may not have arrived.
///
/// Every `take` answers `nil` when the bytes end before it can decide, and throws as soon as a byte
/// that did arrive breaks the grammar.
// bounded: position is compared with end, which is at most the count of the bytes
struct Cursor: BitwiseCopyable {
    private(set) var position: Int
    let end: Int

    init(position: Int = 0, end: Int) {
        self.position = position
        self.end = end
    }

    func peek(in bytes: Span<UInt8>) -> UInt8? { position < end ? bytes[position] : nil }

    mutating func skip(_ count: Int) { position += count }

    mutating func take(_ accepted: ByteClass, in bytes: Span<UInt8>) -> Range<Int> {
        let start = position
        while position < end, accepted.contains(bytes[position]) { position += 1 }
        return start..<position
    }

    @inline(__always)
    mutating func takeBlanks(in bytes: Span<UInt8>) {
        while position < end, isBlank(bytes[position]) { position += 1 }
    }

    /// Everything up to the first control byte other than a tab (RFC 9110 §5.5).
    @inline(__always)
    mutating func takeValue(in bytes: Span<UInt8>) -> Range<Int> {
        let start = position
        var place = start  // a step in a register, not in memory
        while true {
            while end &- place >= 8 {
                let count = Word(bytes, at: place).countBeforeControl
                place &+= count
                if count < 8 { break }
            }
            // Mostly the line's end.
            guard place < end, bytes[place] != carriageReturn, isFieldValueByte(bytes[place]) else { break }
            place &+= 1
        }
        position = place
        return start..<place
    }

    /// `tchar`s (RFC 9110 §5.6.2); most names are letters, hyphens and digits.
    @inline(__always)
    mutating func takeToken(in bytes: Span<UInt8>) -> Range<Int> {
        let start = position
        var place = start
        while end &- place >= 8 {
            let count = Word(bytes, at: place).countBeforeRareInName
            place &+= count
            if count < 8 { break }
        }
        while place < end, bytes[place] != colon, ByteClass.token.contains(bytes[place]) { place &+= 1 }
        position = place
        return start..<place
    }

    /// CRLF and nothing else (RFC 9112 §2.2).
    @inline(__always)
    mutating func takeLineEnd(in bytes: Span<UInt8>, otherwise error: SyntaxError) throws(SyntaxError) -> Bool? {
        guard let first = peek(in: bytes) else { return nil }
        guard first == carriageReturn else { throw first == lineFeed ? .invalidLineEnd : error }
        guard position + 1 < end else { return nil }
        guard bytes[position + 1] == lineFeed else { throw .invalidLineEnd }
        position += 2
        return true
    }

    /// `HTTP/1.0` or `HTTP/1.1`; the minor version (RFC 9112 §2.3).
    mutating func takeVersion(
        in bytes: Span<UInt8>, malformed: SyntaxError = .invalidVersion
    ) throws(SyntaxError) -> UInt8? {
        if end - position >= 8, Word(bytes, at: position) == Word("HTTP/1.1") {
            position += 8
            return 1
        }
        for expected in "HTTP/".utf8 {
            guard let byte = peek(in: bytes) else { return nil }
            guard byte == expected else { throw malformed }
            position += 1
        }
        guard end - position >= 3 else { return nil }
        let major = bytes[position]
        let minor = bytes[position + 2]
        guard isDigit(major), bytes[position + 1] == UInt8(ascii: "."), isDigit(minor) else { throw malformed }
        guard major == UInt8(ascii: "1"), minor <= UInt8(ascii: "1") else { throw .unsupportedVersion }
        position += 3
        return minor - UInt8(ascii: "0")
    }

    /// `name: value` and its line end; the value without surrounding blanks (RFC 9112 §5).
    @inline(__always)
    mutating func takeFieldLine(in bytes: Span<UInt8>) throws(SyntaxError) -> FieldTable.Field? {
        let start = position
        let name = takeToken(in: bytes)
        guard let delimiter = peek(in: bytes) else { return nil }
        guard delimiter == colon, !name.isEmpty else { throw nameError(name, delimiter) }
        position += 1
        takeBlanks(in: bytes)
        let value = takeValue(in: bytes)
        guard try takeLineEnd(in: bytes, otherwise: .invalidFieldValue) != nil else { return nil }
        var valueEnd = value.upperBound
        while valueEnd > value.lowerBound, isBlank(bytes[valueEnd - 1]) { valueEnd -= 1 }
        let kind = FieldKind(ByteRange(name), in: bytes)
        return FieldTable.Field(
            name: ByteRange(name), value: ByteRange(value.lowerBound..<valueEnd), line: ByteRange(start..<position),
            kind: kind, isForwarded: !kind.isHopByHop)
    }

    @inline(never)
    private func nameError(_ name: Range<Int>, _ delimiter: UInt8) -> SyntaxError {
        guard delimiter != lineFeed else { return .invalidLineEnd }
        guard isBlank(delimiter) else { return .invalidFieldName }
        return name.isEmpty ? .foldedField : .blankBeforeColon
    }
}
