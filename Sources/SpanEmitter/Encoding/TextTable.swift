// SPDX-License-Identifier: Apache-2.0

/// Numbered texts in one array: looking one up counts no reference.
struct TextTable: Sendable {
    private struct Place: BitwiseCopyable {
        var start: UInt32
        var count: UInt32
    }

    private let bytes: [UInt8]
    private let places: [Place]

    init(_ texts: [String]) {
        self.init(texts) { text, out in out.append(text) }
    }

    /// - Parameter prepare: as which the texts are kept.
    init(_ texts: some Sequence<String>, _ prepare: (Span<UInt8>, inout ByteWriter) -> Void) {
        var places: [Place] = []
        var bytes = ByteWriter()
        for text in texts {
            let start = bytes.count
            prepare(Array(text.utf8).span, &bytes)
            places.append(
                Place(start: UInt32(truncatingIfNeeded: start), count: UInt32(truncatingIfNeeded: bytes.count - start)))
        }
        self.bytes = array(bytes.span)
        self.places = places
    }

    /// Rows of at most ``columnCount`` texts, to be asked for by row and column.
    init(rows: [[String]]) {
        self.init(
            rows.flatMap { row in
                row.prefix(Self.columnCount) + Array(repeating: "", count: max(0, Self.columnCount - row.count))
            })
    }

    /// Of a table of rows.
    static let columnCount = 64

    init(_ texts: [[UInt8]]) {
        var (bytes, places): ([UInt8], [Place]) = ([], [])
        for text in texts {
            places.append(
                Place(start: UInt32(truncatingIfNeeded: bytes.count), count: UInt32(truncatingIfNeeded: text.count)))
            bytes += text
        }
        self.bytes = bytes
        self.places = places
    }

    var count: Int { places.count }

    /// The text of that number; empty for a number that has none.
    // bounded: places lie in the bytes, and the number was compared
    subscript(number: Int) -> Span<UInt8> {
        @_lifetime(borrow self)
        @inline(__always)
        borrowing get {
            let places = places.span
            guard places.indices.contains(number) else { return bytes.span.extracting(0..<0) }
            let place = places[number]
            return bytes.span.extracting(Int(place.start)..<Int(place.start) + Int(place.count))
        }
    }
    /// Of a table of rows.
    // bounded: any number has an answer
    subscript(row row: Int, column: Int) -> Span<UInt8> {
        @_lifetime(borrow self)
        @inline(__always)
        borrowing get { self[row * Self.columnCount + column] }
    }
}
