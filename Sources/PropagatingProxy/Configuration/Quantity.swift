// SPDX-License-Identifier: Apache-2.0

/// Numbers with a unit, as operators write them.
enum Quantity {
    private static let durationUnits = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)]
    private static let sizeUnits = [
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("kB", 1000), ("MB", 1_000_000),
        ("GB", 1_000_000_000), ("B", 1), ("", 1),
    ]

    /// `500ms`, `1.5s`, `2m`, `1h`, or `0`; a bare number is refused, since nobody can tell its unit.
    static func milliseconds(_ text: String) -> Int? { text == "0" ? 0 : parse(text, durationUnits) }

    /// `64KiB`, `500kB`, or a number of bytes.
    static func bytes(_ text: String) -> Int? { parse(text, sizeUnits) }

    static func sizeText(_ bytes: Int) -> String {
        for (unit, scale) in sizeUnits.prefix(3).reversed() where bytes > 0 && bytes % scale == 0 {
            return "\(bytes / scale)\(unit)"
        }
        return bytes == 0 ? "0" : "\(bytes)B"
    }

    private static func parse(_ text: String, _ units: [(String, Int)]) -> Int? {
        guard let (unit, scale) = units.first(where: { text.hasSuffix($0.0) }) else { return nil }
        let parts = text.dropLast(unit.count).split(separator: ".", omittingEmptySubsequences: false)
        guard let whole = parts.first.flatMap({ digits($0) }), parts.count <= 2 else { return nil }
        let (scaled, overflows) = whole.multipliedReportingOverflow(by: scale)
        guard !overflows else { return nil }
        guard parts.count == 2 else { return scaled }
        guard parts[1].count <= 6, let fraction = digits(parts[1]) else { return nil }
        let divisor = parts[1].reduce(1) { product, _ in product * 10 }
        guard (fraction * scale) % divisor == 0 else { return nil }
        return scaled.addingReportingOverflow(fraction * scale / divisor).partialValue
    }

    private static func digits(_ text: Substring) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(text)
    }
}
