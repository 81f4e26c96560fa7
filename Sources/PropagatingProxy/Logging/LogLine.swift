// SPDX-License-Identifier: Apache-2.0

/// Writes one line of the log: bounded, and escaped so that no value can forge a line or drive a terminal.
struct LogLine {
    /// Bytes of a message or value, of a whole line, and how many fields; what is more is cut.
    static let valueLimit = 512
    static let lineLimit = 4096
    static let fieldLimit = 16

    private(set) var bytes: [UInt8] = []

    /// - Parameter epochMicroseconds: when it happened, since 1970.
    static func text(
        _ level: LogLevel, at epochMicroseconds: UInt64, _ message: String, _ fields: LogFields, suppressed: Int = 0
    ) -> [UInt8] {
        var line = LogLine()
        line.appendTime(epochMicroseconds)
        let name = level.rawValue.uppercased()
        line.append(" \(name)\(String(repeating: " ", count: 6 - name.utf8.count))")
        line.appendEscaped(message)
        for (key, value) in fields.prefix(fieldLimit) where line.bytes.count < lineLimit {
            line.append(" ")
            line.appendEscaped(key)
            line.append("=")
            line.appendWord(value.description)
        }
        if suppressed > 0 { line.append(" suppressed=\(suppressed)") }
        line.append("\n")
        return line.bytes
    }

    /// - Parameter epochMicroseconds: when it happened, since 1970.
    static func json(
        _ level: LogLevel, at epochMicroseconds: UInt64, _ message: String, _ fields: LogFields, suppressed: Int = 0
    ) -> [UInt8] {
        var line = LogLine()
        line.append("{\"time\":\"")
        line.appendTime(epochMicroseconds)
        line.append("\",\"level\":\"\(level.rawValue)\",\"message\":")
        line.appendQuoted(message)
        for (key, value) in fields.prefix(fieldLimit) where line.bytes.count < lineLimit {
            line.append(",")
            line.appendQuoted(key)
            line.append(":")
            if value is any BinaryInteger || value is Bool {
                line.append(value.description)
            } else {
                line.appendQuoted(value.description)
            }
        }
        if suppressed > 0 { line.append(",\"suppressed\":\(suppressed)") }
        line.append("}\n")
        return line.bytes
    }

    private mutating func append(_ text: String) { bytes += text.utf8 }

    private mutating func appendQuoted(_ text: String) {
        append("\"")
        appendEscaped(text)
        append("\"")
    }

    /// Quoted only where a reader could not tell its end.
    private mutating func appendWord(_ text: String) {
        let isPlain = !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: "=") && $0 < 0x7f }
        if isPlain { appendEscaped(text) } else { appendQuoted(text) }
    }

    /// Escapes quotes, backslashes and control characters, those of Latin-1 (U+0080 to U+009F) too.
    private mutating func appendEscaped(_ text: String) {
        var count = 0
        for scalar in text.unicodeScalars {
            count += UTF8.width(scalar)
            guard count <= Self.valueLimit else {
                append("…")
                return
            }
            switch scalar.value {
            case 0x22, 0x5c: append("\\\(scalar)")
            case 0x0a: append("\\n")
            case 0x0d: append("\\r")
            case 0x09: append("\\t")
            case 0..<0x20, 0x7f...0x9f:
                let digits = String(scalar.value, radix: 16)
                append("\\u\(String(repeating: "0", count: 4 - digits.utf8.count))\(digits)")
            default: append(String(scalar))
            }
        }
    }

    /// RFC 3339 with milliseconds, in UTC.
    private mutating func appendTime(_ epochMicroseconds: UInt64) {
        let seconds = epochMicroseconds / 1_000_000
        let (year, month, day) = Self.date(daysSince1970: Int(seconds / 86_400))
        let ofDay = Int(seconds % 86_400)
        let parts = [(year, 4, "-"), (month, 2, "-"), (day, 2, "T"), (ofDay / 3600, 2, ":"), (ofDay / 60 % 60, 2, ":")]
        for (number, width, mark) in parts { append(Self.padded(number, width) + mark) }
        append(Self.padded(ofDay % 60, 2) + "." + Self.padded(Int(epochMicroseconds / 1000 % 1000), 3) + "Z")
    }

    /// RFC 3339 in UTC.
    static func timeText(epochSeconds: Int64) -> String {
        var line = LogLine()
        line.appendTime(UInt64(clamping: min(epochSeconds, 253_402_300_799)) * 1_000_000)  // the year 9999 is the last
        return String(decoding: line.bytes, as: UTF8.self)
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    /// The Gregorian date. Years begin in March here, so that the leap day comes last; 400 of them
    /// have 146 097 days, and day 0 is the 1st of March of year 0.
    private static func date(daysSince1970: Int) -> (year: Int, month: Int, day: Int) {
        let days = daysSince1970 + 719_468
        let era = days / 146_097
        let dayOfEra = days % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (era * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, day)
    }
}
