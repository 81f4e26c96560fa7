// SPDX-License-Identifier: Apache-2.0

/// Numbered texts in one array: looking one up counts no reference.
struct TextTable: Sendable {
    private let bytes: [UInt8]
    /// Where each text begins, and where the last one ends.
    private let bounds: [Int]

    init(_ texts: [String]) { self.init(texts.map { Array($0.utf8) }) }

    init(_ texts: [[UInt8]]) {
        var (bytes, bounds): ([UInt8], [Int]) = ([], [0])
        for text in texts {
            bytes += text
            bounds.append(bytes.count)
        }
        self.bytes = bytes
        self.bounds = bounds
    }

    var count: Int { bounds.count - 1 }

    /// The text of that number; empty for a number that has none.
    // bounded: bounds lie in the bytes, and the number was compared
    subscript(number: Int) -> Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get {
            let bounds = bounds.span
            guard number >= 0, number + 1 < bounds.count else { return bytes.span.extracting(0..<0) }
            return bytes.span.extracting(bounds[number]..<bounds[number + 1])
        }
    }
}
