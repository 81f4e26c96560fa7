// SPDX-License-Identifier: Apache-2.0

/// JSON by the letter of RFC 8259, and stricter: every number is an integer below 2^64 and no key stands twice.
indirect enum StrictJSON: Equatable {
    case object([String: StrictJSON])
    case array([StrictJSON])
    case text(String)
    case integer(UInt64)
    case flag(Bool)

    struct Malformed: Error { let position: Int }

    init(_ bytes: [UInt8]) throws {
        guard String(validating: bytes, as: UTF8.self) != nil else { throw Malformed(position: 0) }
        var reader = JSONReader(bytes)
        self = try reader.value(depth: 0)
        guard reader.isAtEnd else { throw reader.malformed }
    }

    subscript(key: String) -> StrictJSON? {
        guard case .object(let members) = self else { return nil }
        return members[key]
    }

    var items: [StrictJSON] {
        guard case .array(let items) = self else { return [] }
        return items
    }
}

private struct JSONReader {
    private static let escapes: [(UInt8, UInt8)] = [
        (34, 34), (92, 92), (47, 47), (98, 8), (102, 12), (110, 10), (114, 13), (116, 9),
    ]

    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }
    var malformed: StrictJSON.Malformed { .init(position: position) }

    private var next: UInt8 { position < bytes.count ? bytes[position] : 0 }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte, !isAtEnd else { return false }
        position += 1
        return true
    }

    private mutating func take(word: String) -> Bool {
        guard bytes[position...].starts(with: word.utf8) else { return false }
        position += word.utf8.count
        return true
    }

    mutating func value(depth: Int) throws -> StrictJSON {
        guard depth < 16 else { throw malformed }
        switch next {
        case UInt8(ascii: "{"): return .object(try object(depth))
        case UInt8(ascii: "["): return .array(try list(91, 93) { reader in try reader.value(depth: depth + 1) })
        case UInt8(ascii: "\""): return .text(try text())
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return .integer(try integer())
        default:
            if take(word: "true") { return .flag(true) }
            if take(word: "false") { return .flag(false) }
            throw malformed
        }
    }

    private mutating func list<Item>(
        _ open: UInt8, _ close: UInt8, _ item: (inout JSONReader) throws -> Item
    ) throws -> [Item] {
        guard take(open) else { throw malformed }
        if take(close) { return [] }
        var items = [try item(&self)]
        while take(44) { items.append(try item(&self)) }
        guard take(close) else { throw malformed }
        return items
    }

    private mutating func object(_ depth: Int) throws -> [String: StrictJSON] {
        var members: [String: StrictJSON] = [:]
        let pairs = try list(123, 125) { reader in
            let key = try reader.text()
            guard reader.take(58) else { throw reader.malformed }
            return (key, try reader.value(depth: depth + 1))
        }
        for (key, value) in pairs where members.updateValue(value, forKey: key) != nil { throw malformed }
        return members
    }

    /// No sign, no fraction, no exponent, no leading zero.
    private mutating func integer() throws -> UInt64 {
        let digits = bytes[position...].prefix { (48...57).contains($0) }
        position = digits.endIndex
        let text = String(decoding: digits, as: UTF8.self)
        guard let number = UInt64(text), String(number) == text else { throw malformed }
        return number
    }

    private mutating func text() throws -> String {
        guard take(34) else { throw malformed }
        var text: [UInt8] = []
        while next != UInt8(ascii: "\"") {
            guard next >= 0x20 else { throw malformed }
            if take(92) {
                text += try escape()
            } else {
                text.append(next)
                position += 1
            }
        }
        position += 1
        return String(decoding: text, as: UTF8.self)
    }

    private mutating func escape() throws -> [UInt8] {
        for (name, byte) in Self.escapes where take(name) { return [byte] }
        guard take(UInt8(ascii: "u")) else { throw malformed }
        let digits = bytes[position...].prefix(4).compactMap(hexDigitValue)
        position += 4
        let code = digits.reduce(0) { $0 * 16 + $1 }
        guard digits.count == 4, let scalar = Unicode.Scalar(UInt32(code)) else { throw malformed }
        return Array(String(Character(scalar)).utf8)
    }
}
