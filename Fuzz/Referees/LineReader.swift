// SPDX-License-Identifier: Apache-2.0

/// Reads bytes line by line, where a line ends with CRLF and holds no other CR or LF (RFC 9112 §2.2).
struct LineReader {
    /// The bytes end too early.
    struct Cut: Error {}
    struct Malformed: Error {}

    private let bytes: ArraySlice<UInt8>
    private(set) var position: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    /// Without its end.
    mutating func line() throws -> ArraySlice<UInt8> {
        guard let end = bytes[position...].firstIndex(of: 10) else { throw Cut() }
        let line = bytes[position..<end]
        guard line.last == 13, !line.dropLast().contains(13) else { throw Malformed() }
        position = end + 1
        return line.dropLast()
    }

    mutating func take(_ count: Int) -> ArraySlice<UInt8> {
        let taken = bytes[position...].prefix(count)
        position = taken.endIndex
        return taken
    }
}

/// A field line as any reader of HTTP has to see it.
struct PlainField: Equatable {
    /// In lower case.
    var name: String
    var value: [UInt8]

    /// RFC 9112 §5: `name: value` with nothing between name and colon.
    init(_ line: ArraySlice<UInt8>) throws {
        guard let colon = line.firstIndex(of: 58) else { throw LineReader.Malformed() }
        let name = line[..<colon]
        let value = line[(colon + 1)...]
        guard isToken(name), value.allSatisfy({ $0 == 9 || $0 >= 32 && $0 != 127 }) else {
            throw LineReader.Malformed()
        }
        self.name = String(decoding: name, as: UTF8.self).lowercased()
        self.value = Array(value.drop { $0 == 32 || $0 == 9 }.reversed().drop { $0 == 32 || $0 == 9 }.reversed())
    }
}

/// RFC 9110 §5.6.2.
func isTokenByte(_ byte: UInt8) -> Bool {
    switch Character(Unicode.Scalar(byte)) {
    case "0"..."9", "a"..."z", "A"..."Z", "!", "#", "$", "%", "&", "'", "*", "+", "-", ".", "^", "_", "`", "|", "~":
        true
    default: false
    }
}

func isToken(_ bytes: some Collection<UInt8>) -> Bool { !bytes.isEmpty && bytes.allSatisfy(isTokenByte) }

/// RFC 5234 HEXDIG in either case.
func hexDigitValue(_ byte: UInt8) -> Int? {
    switch byte {
    case 48...57: Int(byte) - 48
    case 65...70: Int(byte) - 55
    case 97...102: Int(byte) - 87
    default: nil
    }
}
