// SPDX-License-Identifier: Apache-2.0

/// One protocol buffers message as fields by number: just enough to read spans back, and independent of the encoder under test.
struct ProtoMessage {
    private enum Field {
        case number(UInt64)
        case bytes([UInt8])
    }

    private var fields: [UInt64: [Field]] = [:]

    init(_ bytes: [UInt8]) throws {
        var reader = ByteReader(bytes)
        while !reader.isAtEnd {
            let key = try reader.varint()
            let field: Field =
                switch key & 7 {
                case 0: .number(try reader.varint())
                case 1: .number(try reader.littleEndian(8))
                case 2: .bytes(try reader.take(Int(reader.varint())))
                case 5: .number(try reader.littleEndian(4))
                default: throw SocketError.malformed("protobuf wire type \(key & 7)")
                }
            fields[key >> 3, default: []].append(field)
        }
    }

    func has(_ number: UInt64) -> Bool { fields[number] != nil }

    func number(_ number: UInt64) -> UInt64 {
        if case .number(let value)? = fields[number]?.last { value } else { 0 }
    }

    func bytes(_ number: UInt64) -> [UInt8] {
        if case .bytes(let value)? = fields[number]?.last { value } else { [] }
    }

    func text(_ number: UInt64) -> String { String(decoding: bytes(number), as: UTF8.self) }

    func messages(_ number: UInt64) throws -> [ProtoMessage] {
        try (fields[number] ?? []).compactMap { field in
            if case .bytes(let bytes) = field { try ProtoMessage(bytes) } else { nil }
        }
    }
}

/// One value of Thrift's binary protocol.
indirect enum ThriftValue {
    case number(Int64)
    case binary([UInt8])
    case structure([Int16: ThriftValue])
    case sequence([ThriftValue])

    subscript(field: Int16) -> ThriftValue? {
        if case .structure(let fields) = self { fields[field] } else { nil }
    }

    var integer: Int64? { if case .number(let value) = self { value } else { nil } }
    var text: String? { if case .binary(let bytes) = self { String(decoding: bytes, as: UTF8.self) } else { nil } }
    var list: [ThriftValue] { if case .sequence(let values) = self { values } else { [] } }

    /// A post to `/api/v1/spans`: a bare list of structs.
    static func list(of body: [UInt8]) throws -> [ThriftValue] {
        var reader = ByteReader(body)
        let list = try value(15, &reader).list
        guard reader.isAtEnd else { throw SocketError.malformed("bytes after the thrift list") }
        return list
    }

    private static func value(_ type: UInt64, _ reader: inout ByteReader) throws -> ThriftValue {
        switch type {
        case 2, 3: return .number(Int64(try reader.bigEndian(1)))
        case 6: return .number(Int64(Int16(truncatingIfNeeded: try reader.bigEndian(2))))
        case 8: return .number(Int64(Int32(truncatingIfNeeded: try reader.bigEndian(4))))
        case 10: return .number(Int64(bitPattern: try reader.bigEndian(8)))
        case 11: return .binary(try reader.take(Int(reader.bigEndian(4))))
        case 12:
            var fields: [Int16: ThriftValue] = [:]
            while case let type = try reader.bigEndian(1), type != 0 {
                let number = Int16(truncatingIfNeeded: try reader.bigEndian(2))
                fields[number] = try value(type, &reader)
            }
            return .structure(fields)
        case 15:
            let type = try reader.bigEndian(1)
            let count = try reader.bigEndian(4)
            return .sequence(try (0..<count).map { _ in try value(type, &reader) })
        default: throw SocketError.malformed("thrift type \(type)")
        }
    }
}

/// Takes numbers and bytes off the front of a message.
private struct ByteReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { position == bytes.count }

    mutating func take(_ count: Int) throws -> [UInt8] {
        guard count >= 0, count <= bytes.count - position else { throw SocketError.malformed("message cut short") }
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    mutating func bigEndian(_ count: Int) throws -> UInt64 {
        try take(count).reduce(0) { $0 << 8 | UInt64($1) }
    }

    mutating func littleEndian(_ count: Int) throws -> UInt64 {
        try take(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    mutating func varint() throws -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: 0, to: 64, by: 7) {
            let byte = try take(1)[0]
            value |= UInt64(byte & 0x7f) << UInt64(shift)
            if byte < 0x80 { return value }
        }
        throw SocketError.malformed("varint")
    }
}
