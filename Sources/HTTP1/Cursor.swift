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

    /// Everything up to the first control byte other than a tab (RFC 9110 §5.5).
    @inline(__always)
    mutating func takeValue(in bytes: Span<UInt8>) -> Range<Int> {
        let start = position
        var rest = bytes.extracting(start..<end)
        dropValue(&rest)
        position = end - rest.count
        return start..<position
    }

    /// The bytes of a request target (RFC 3986 §2).
    ///
    /// - Returns: where they are, and whether there is neither `?` nor `%` among them.
    mutating func takeTarget(in bytes: Span<UInt8>) -> (Range<Int>, isPlain: Bool) {
        let start = position
        var rest = bytes.extracting(start..<end)
        var isPlain = true
        while true {
            while rest.count >= 8 {
                let count = Word(rest).countBeforeRareInPath
                rest = rest.extracting(droppingFirst: count ?? 8)
                if count != nil { break }
            }
            guard !rest.isEmpty, ByteClass.target.contains(rest[0]) else { break }
            if rest[0] == UInt8(ascii: "?") || rest[0] == UInt8(ascii: "%") { isPlain = false }
            rest = rest.extracting(droppingFirst: 1)
        }
        position = end - rest.count
        return (start..<position, isPlain)
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
    @inline(__always)
    mutating func takeVersion(
        in bytes: Span<UInt8>, malformed: SyntaxError = .invalidVersion
    ) throws(SyntaxError) -> UInt8? {
        if end - position >= 8, Word(bytes, at: position) == Word("HTTP/1.1") {
            position += 8
            return 1
        }
        return try takeOtherVersion(in: bytes, malformed: malformed)
    }

    private mutating func takeOtherVersion(
        in bytes: Span<UInt8>, malformed: SyntaxError
    ) throws(SyntaxError) -> UInt8? {
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

    /// `name: value` and its line end; the value without surrounding blanks (RFC 9112 §5). ``end`` is that of the bytes.
    @inline(__always)
    mutating func takeFieldLine(in bytes: Span<UInt8>) throws(SyntaxError) -> FieldTable.Field? {
        let start = position
        let line = bytes.extracting(droppingFirst: start)
        var rest = line
        dropName(&rest)
        let nameCount = line.count &- rest.count
        guard !rest.isEmpty else { return nil }
        guard rest[0] == colon, nameCount > 0 else { throw nameError(nameCount, rest[0]) }
        rest = rest.extracting(droppingFirst: 1)
        while !rest.isEmpty, isBlank(rest[0]) { rest = rest.extracting(droppingFirst: 1) }
        let value = rest
        dropValue(&rest)
        guard !rest.isEmpty else { return nil }
        guard rest[0] == carriageReturn else { throw rest[0] == lineFeed ? .invalidLineEnd : .invalidFieldValue }
        guard rest.count >= 2 else { return nil }
        guard rest[1] == lineFeed else { throw .invalidLineEnd }
        var valueCount = value.count &- rest.count
        while valueCount > 0, isBlank(value[valueCount &- 1]) { valueCount &-= 1 }
        let lineCount = line.count &- rest.count &+ 2
        position = start &+ lineCount
        let kind = FieldKind(line, count: nameCount)
        return FieldTable.Field(
            line: ByteRange(at: start, count: lineCount), nameCount: UInt32(truncatingIfNeeded: nameCount),
            value: ByteRange(at: start &+ line.count &- value.count, count: valueCount),
            kind: kind, isForwarded: !kind.isHopByHop)
    }

    @inline(never)
    private func nameError(_ nameCount: Int, _ delimiter: UInt8) -> SyntaxError {
        guard delimiter != lineFeed else { return .invalidLineEnd }
        guard isBlank(delimiter) else { return .invalidFieldName }
        return nameCount == 0 ? .foldedField : .blankBeforeColon
    }
}

// The bytes that are left are a span that grows shorter: of an index the compiler would have to ask at each step whether
// it is still inside.

/// `tchar`s (RFC 9110 §5.6.2); most names are letters, hyphens and digits.
@inline(__always)
@_lifetime(rest: copy rest)
private func dropName(_ rest: inout Span<UInt8>) {
    while rest.count >= 8 {
        let count = Word(rest).countBeforeRareInName
        rest = rest.extracting(droppingFirst: count ?? 8)
        if count != nil { break }
    }
    while !rest.isEmpty, rest[0] != colon, ByteClass.token.contains(rest[0]) {
        rest = rest.extracting(droppingFirst: 1)
    }
}

/// Everything up to the first control byte other than a tab (RFC 9110 §5.5).
@inline(__always)
@_lifetime(rest: copy rest)
private func dropValue(_ rest: inout Span<UInt8>) {
    while true {
        while rest.count >= 8 {
            let count = Word(rest).countBeforeControl
            rest = rest.extracting(droppingFirst: count ?? 8)
            if count != nil { break }
        }
        // Mostly the line's end.
        guard !rest.isEmpty, rest[0] != carriageReturn, isFieldValueByte(rest[0]) else { return }
        rest = rest.extracting(droppingFirst: 1)
    }
}
