// SPDX-License-Identifier: Apache-2.0

/// Writes the Prometheus text format, version 0.0.4.
struct MetricsText {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"
    private static let prefix = "propagating_proxy_"

    enum Kind: String { case counter, gauge, histogram }

    private(set) var bytes: [UInt8] = []
    private var name = ""

    /// Begins a family; the samples after it are its own.
    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        self.name = Self.prefix + name
        append("# HELP \(self.name) \(help)\n# TYPE \(self.name) \(kind.rawValue)\n")
    }

    /// - Parameter suffix: `_bucket`, `_sum` or `_count` of a histogram.
    mutating func sample(_ value: UInt64, suffix: String = "", _ labels: KeyValuePairs<String, String> = [:]) {
        sample(text: String(value), suffix: suffix, labels)
    }

    mutating func sample(text: String, suffix: String = "", _ labels: KeyValuePairs<String, String> = [:]) {
        append(name + suffix)
        var separator = "{"
        for (key, value) in labels {
            append("\(separator)\(key)=\"")
            appendEscaped(value)
            append("\"")
            separator = ","
        }
        append(labels.isEmpty ? " " : "} ")
        append(text + "\n")
    }

    /// Microseconds as seconds, exactly.
    static func seconds(_ microseconds: UInt64) -> String {
        let (whole, rest) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        guard rest > 0 else { return String(whole) }
        var digits = String(rest)
        digits = String(repeating: "0", count: 6 - digits.utf8.count) + digits
        while digits.hasSuffix("0") { digits.removeLast() }
        return "\(whole).\(digits)"
    }

    private mutating func append(_ text: String) { bytes += text.utf8 }

    private mutating func appendEscaped(_ value: String) {
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\\"), UInt8(ascii: "\""): bytes += [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "\n"): bytes += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
            default: bytes.append(byte)
            }
        }
    }
}
