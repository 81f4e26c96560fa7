// SPDX-License-Identifier: Apache-2.0

/// The options of all Connection lines of one message (RFC 9110 §7.6.1).
struct ConnectionOptions: BitwiseCopyable {
    private(set) var close = false
    private(set) var keepAlive = false
    private(set) var upgrade = false
    /// An option that may be the name of a field is present.
    private(set) var nominatesFields = false
    private var count = 0

    /// Options of one message; each unknown one is looked up among all fields, so the work must be bounded.
    static let maximumCount = 64

    /// Members that are no tokens match no field and mean nothing; the line itself goes no further.
    mutating func note(_ value: Span<UInt8>) throws(SyntaxError) {
        var list = ListCursor()
        while let member = list.next(in: value) {
            count += 1
            guard count <= Self.maximumCount else { throw .tooManyConnectionOptions }
            let option = value.extracting(member)  // bounded: a ListCursor answers with places of the list
            if lowercasedEquals(option, "close") {
                close = true
            } else if lowercasedEquals(option, "keep-alive") {
                keepAlive = true
            } else if lowercasedEquals(option, "upgrade") {
                upgrade = true
            } else {
                nominatesFields = true
            }
        }
    }
}

/// Walks a comma-separated list without quoted members; empty members are left out (RFC 9110 §5.6.1).
struct ListCursor: BitwiseCopyable {
    private var position = 0

    mutating func next(in list: Span<UInt8>) -> Range<Int>? {
        while position < list.count, isBlank(list[position]) || list[position] == comma { position += 1 }
        guard position < list.count else { return nil }
        let start = position
        while position < list.count, list[position] != comma { position += 1 }
        var end = position
        while end > start, isBlank(list[end - 1]) { end -= 1 }  // bounded: end is above start
        return start..<end
    }
}

private let comma = UInt8(ascii: ",")

/// Marks the lines that Connection nominates as removed, except those that ``FieldKind/survivesNomination``.
func removeNominatedFields(in bytes: Span<UInt8>, fields: inout FieldTable) {
    for line in 0..<fields.count where fields[line].kind == .connection {
        let value = bytes.extracting(fields[line].value.range)
        var list = ListCursor()
        while let member = list.next(in: value) {
            removeFields(named: value.extracting(member), in: bytes, fields: &fields)  // bounded: as above
        }
    }
}

private func removeFields(named option: Span<UInt8>, in bytes: Span<UInt8>, fields: inout FieldTable) {
    for index in 0..<fields.count {
        let field = fields[index]
        guard Int(field.name.count) == option.count, field.isForwarded, !field.kind.survivesNomination,
            equalsInAnyCase(bytes.extracting(field.name.range), option)
        else { continue }
        fields.markRemoved(index)
    }
}
