// SPDX-License-Identifier: Apache-2.0

/// Takes values of any type from the front of an input; zeros when it is used up.
struct Feed {
    private var rest: ArraySlice<UInt8>

    init(_ input: [UInt8]) { rest = input[...] }

    var isEmpty: Bool { rest.isEmpty }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    mutating func flag() -> Bool { byte() & 1 == 1 }

    mutating func number<Number: FixedWidthInteger>(_: Number.Type = Number.self) -> Number {
        var value: Number = 0
        for _ in 0..<Number.bitWidth / 8 { value = value << 8 | Number(truncatingIfNeeded: byte()) }
        return value
    }

    /// A byte of length, then so many bytes.
    mutating func bytes() -> [UInt8] {
        let count = Int(byte())
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    mutating func text() -> String { String(decoding: bytes(), as: UTF8.self) }
}
