// SPDX-License-Identifier: Apache-2.0

/// Which known word a mistyped one was meant to be.
enum Suggestion {
    /// ` (did you mean 'x'?)` or nothing.
    static func text(for word: String, among known: some Sequence<String>) -> String {
        let best = known.map { (distance(word, $0), $0) }.min { $0 < $1 }
        guard let best, best.0 <= max(1, min(3, best.1.utf8.count / 3)) else { return "" }
        return " (did you mean '\(best.1)'?)"
    }

    /// Insertions, deletions and replacements that lead from one to the other; `-` and `_` are alike.
    static func distance(_ a: String, _ b: String) -> Int {
        let (x, y) = (folded(a), folded(b))
        guard x.count <= 64 else { return x.count }
        var row = Array(0...y.count)
        for i in x.indices {
            var diagonal = row[0]
            row[0] = i + 1
            for j in y.indices {
                let replaced = diagonal + (x[i] == y[j] ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j] + 1, diagonal + 1)
            }
        }
        return row[y.count]
    }

    private static func folded(_ text: String) -> [UInt8] {
        text.utf8.map { $0 == UInt8(ascii: "-") ? UInt8(ascii: "_") : lowercased($0) }
    }
}
