// SPDX-License-Identifier: Apache-2.0

/// Where the field lines of a head lie in its text, as its writer has noted them: who gets the text with them need not look
/// for names, colons and line ends again.
///
/// Used again and again: its room grows to the longest head there was and stays.
public struct HeadLines: ~Copyable {
    /// More lines than heads have: ``FieldTable`` bounds the received ones, and the proxy adds a few.
    public static let capacity = 256

    /// Offsets into the text, which a block of 64 KiB holds.
    public struct Line: BitwiseCopyable, Sendable {
        public let nameStart: UInt16
        public let nameCount: UInt16
        public let valueStart: UInt16
        public let valueCount: UInt16
        public let kind: FieldKind

        @inlinable
        init(_ kind: FieldKind, name: Int, count: Int, value: Int, count valueCount: Int) {
            nameStart = UInt16(truncatingIfNeeded: name)
            nameCount = UInt16(truncatingIfNeeded: count)
            valueStart = UInt16(truncatingIfNeeded: value)
            self.valueCount = UInt16(truncatingIfNeeded: valueCount)
            self.kind = kind
        }
    }

    @usableFromInline var storage: [Line] = []
    public var count: Int { used }
    @usableFromInline var used = 0
    /// Bytes of the whole head; 0 while there is none, or none whose lines were all noted.
    public private(set) var headCount = 0
    @usableFromInline var isWhole = true

    public init() {}

    /// `index` is one of `0..<count`.
    // bounded: count is at most that of the array
    @inlinable public subscript(index: Int) -> Line { storage.span[index] }

    /// Begins a head, forgetting the one before.
    public mutating func removeAll() {
        used = 0
        headCount = 0
        isWhole = true
    }

    /// Notes one line.
    ///
    /// - Parameters:
    ///   - name: where it begins, and its bytes; behind it come a colon and one space.
    ///   - end: behind the line's CRLF.
    @inlinable
    @inline(__always)
    public mutating func append(_ kind: FieldKind, name: Int, count nameCount: Int, end: Int) {
        let value = name + nameCount + 2
        append(kind, name: name, count: nameCount, value: value, count: end - 2 - value)
    }

    /// Notes one line whose value may have blanks around it.
    @inlinable
    @inline(__always)
    public mutating func append(_ kind: FieldKind, name: Int, count nameCount: Int, value: Int, count valueCount: Int) {
        guard used < Self.capacity, (name | nameCount | value | valueCount) >> 16 == 0 else {
            isWhole = false
            return
        }
        if used == storage.count { grow() }
        // bounded: grown
        storage[used] = Line(kind, name: name, count: nameCount, value: value, count: valueCount)
        used += 1
    }

    @inline(never)
    @usableFromInline
    mutating func grow() {
        let none = Line(.other, name: 0, count: 0, value: 0, count: 0)
        storage.append(contentsOf: repeatElement(none, count: max(16, storage.count)))
    }

    /// The head is complete, with its empty line.
    public mutating func finish(headCount: Int) { self.headCount = isWhole ? headCount : 0 }
}

extension FieldTable {
    /// Fills the table with a head's lines, with the checks of what they mean that every head undergoes.
    // bounded: the lines lie in the head, as their writer noted them, the spans trap otherwise; the limit is at most the
    // capacity
    mutating func fill(
        with lines: borrowing HeadLines, of bytes: Span<UInt8>, limit: Int, summary: inout FieldSummary,
        ofRequest isRequest: Bool
    ) throws(SyntaxError) {
        let limit = min(limit, FieldTable.capacity)
        var (first, last) = (FieldTable.capacity, FieldTable.capacity)
        // Asked for once: each store through the array would ask whether it is shared.
        var room = storage.mutableSpan
        for index in 0..<lines.count {
            let line = lines[index]
            let value = ByteRange(start: UInt32(line.valueStart), count: UInt32(line.valueCount))
            let start = UInt32(line.nameStart)
            // Up to the next one: the text may have a blank behind the value.
            let end = index + 1 < lines.count ? Int(lines[index + 1].nameStart) : lines.headCount - 2
            let field = Field(
                line: ByteRange(start: start, count: UInt32(truncatingIfNeeded: end) &- start),
                nameCount: UInt32(line.nameCount), value: value, kind: line.kind, isForwarded: !line.kind.isHopByHop)
            if line.kind.isNoted { try summary.note(field, in: bytes, ofRequest: isRequest) }
            guard index < limit else { throw .tooManyFields }
            if field.kind != .other {
                if last < index { room[last].nextNotable = UInt8(truncatingIfNeeded: index) } else { first = index }
                last = index
            }
            room[index] = field
        }
        (count, firstNotable, lastNotable) = (lines.count, first, last)
    }
}
