// SPDX-License-Identifier: Apache-2.0

/// Text of a peer on its way into a report: a collector refuses a whole batch for one bad byte.
extension ByteWriter {
    /// Appends text as UTF-8; what is not becomes U+FFFD. Protocol buffers demand it.
    mutating func append(text: Span<UInt8>) {
        if !appendIfASCII(text) { append(repaired(text)) }
    }

    /// Bytes ``append(text:)`` will write.
    static func textSize(_ text: Span<UInt8>) -> Int { isASCII(text) ? text.count : repaired(text).count }

    /// Appends text as it stands between the quotes of JSON.
    mutating func append(jsonText text: Span<UInt8>) {
        if isTrap(text) || !appendIfPlain(text) { append(escaped: repaired(text)) }
    }

    // bounded: plain is at most index + 1
    private mutating func append(escaped text: [UInt8]) {
        let span = text.span
        var plain = 0
        for index in 0..<span.count {
            let byte = span[index]
            guard byte < 0x20 || byte == 0x7F || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else {
                continue
            }
            append(span.extracting(plain..<index))
            append(unicodeEscape: byte)
            plain = index + 1
        }
        append(trapped: span.extracting(plain..<span.count))
    }

    private mutating func append(trapped text: Span<UInt8>) {
        guard isTrap(text) else { return append(text) }
        append(text.extracting(droppingLast: 1))
        append(unicodeEscape: text[text.count - 1])  // bounded: a trap is not empty
    }

    private mutating func append(unicodeEscape byte: UInt8) {
        append("\\u00")
        append(hexDigit(byte >> 4))
        append(hexDigit(byte & 15))
    }
}

/// Zipkin tells its two JSON versions apart by looking for `Endpoint"`, `"tags"` and `yAnnotations"`
/// anywhere in the body. Text that ends so has its last letter escaped, or it would cost the batch.
private func isTrap(_ text: Span<UInt8>) -> Bool {
    guard text.count >= 4 else { return false }
    switch text[text.count - 1] {  // bounded: at least four bytes
    case UInt8(ascii: "t"): return ends(text, "Endpoint")
    case UInt8(ascii: "s"): return ends(text, "yAnnotations") || text.count == 4 && ends(text, "tags")
    default: return false
    }
}

private func hexDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") - 10 + value
}

/// The usual case, in a loop the compiler turns into vector instructions.
private func isASCII(_ text: Span<UInt8>) -> Bool {
    var all: UInt8 = 0
    for index in 0..<text.count { all |= text[index] }
    return all < 0x80
}

/// Allocates; only for text that is not plain.
private func repaired(_ text: Span<UInt8>) -> [UInt8] {
    let copy = [UInt8](capacity: text.count) { out in
        for index in 0..<text.count { out.append(text[index]) }
    }
    return Array(String(decoding: copy, as: UTF8.self).utf8)
}
