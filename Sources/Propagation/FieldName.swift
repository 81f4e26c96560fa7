// SPDX-License-Identifier: Apache-2.0

/// The fields that carry a trace context. None of them is ever forwarded as it came.
public enum FieldName: BitwiseCopyable, Sendable {
    case b3, traceID, spanID, parentSpanID, sampled, flags, traceparent, tracestate

    /// Compares without regard to case (RFC 9110 §5.1). Called for every field of every request, so the length and
    /// the first byte turn nearly all of them away.
    // bounded: each case has the count it looks into
    init?(_ name: Span<UInt8>) {
        let candidate: (FieldName, String)
        switch name.count {
        case 2: candidate = (.b3, "b3")
        case 10:
            candidate = name[0] | 0x20 == UInt8(ascii: "x") ? (.flags, "x-b3-flags") : (.tracestate, "tracestate")
        case 11:
            candidate = name[0] | 0x20 == UInt8(ascii: "x") ? (.spanID, "x-b3-spanid") : (.traceparent, "traceparent")
        case 12:
            candidate =
                name[5] | 0x20 == UInt8(ascii: "t") ? (.traceID, "x-b3-traceid") : (.sampled, "x-b3-sampled")
        case 17: candidate = (.parentSpanID, "x-b3-parentspanid")
        default: return nil
        }
        guard equals(name, candidate.1) else { return nil }
        self = candidate.0
    }
}

/// `text` is ASCII in lower case.
func equals(_ bytes: Span<UInt8>, _ text: String) -> Bool {
    let wanted = text.utf8.span
    guard bytes.count == wanted.count else { return false }
    // bounded: of one length
    for index in bytes.indices {
        let byte = bytes[index]
        guard byte == wanted[index] || byte | 0x20 == wanted[index] && wanted[index] >= UInt8(ascii: "a") else {
            return false
        }
    }
    return true
}

/// `range` without the spaces and tabs around it (RFC 9110 §5.6.3, OWS).
// bounded: `range` lies in the bytes, and lower and upper stay in it
func trimmed(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
    var lower = range.lowerBound
    var upper = range.upperBound
    while lower < upper, isBlank(bytes[lower]) { lower += 1 }
    while upper > lower, isBlank(bytes[upper - 1]) { upper -= 1 }
    return lower..<upper
}

func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
