// SPDX-License-Identifier: Apache-2.0

/// The `traceparent` field (W3C Trace Context Level 2, §3.2).
enum TraceParent {
    /// `00-<32 hex>-<16 hex>-<2 hex>`, in bytes.
    static let byteCount = 55

    /// Reads version 00, and the first four parts of any later version. Blanks around the value are ignored.
    // bounded: at least 55 bytes, and more where byte 55 is looked at
    static func parse(_ line: Span<UInt8>) -> TraceContext? {
        let value = line.extracting(trimmed(line, 0..<line.count))
        guard value.count >= byteCount, let version = lowerHex(value, 0..<2), version != 0xFF else { return nil }
        guard value.count == byteCount || version > 0 && value[byteCount] == dash else { return nil }
        guard value[2] == dash, value[35] == dash, value[52] == dash else { return nil }
        guard let high = lowerHex(value, 3..<19), let low = lowerHex(value, 19..<35) else { return nil }
        guard high | low != 0, let span = lowerHex(value, 36..<52), span != 0 else { return nil }
        guard let flags = lowerHex(value, 53..<55) else { return nil }
        return TraceContext(
            traceID: TraceID(high: high, low: low),
            spanID: SpanID(span),
            sampling: flags & 1 == 1 ? .accept : .deny,
            isRandom: flags & 2 == 2
        )
    }

    /// Appends ``byteCount`` bytes, always version 00; the caller has checked the room.
    static func write(_ context: TraceContext, into out: inout OutputSpan<UInt8>) {
        append("00-", to: &out)
        appendHex(context.traceID.high, to: &out)
        appendHex(context.traceID.low, to: &out)
        out.append(dash)
        appendHex(context.spanID.value, to: &out)
        append("-0", to: &out)
        out.append(UInt8(ascii: "0") + (context.sampling.isRecorded ? 1 : 0) + (context.isRandom ? 2 : 0))
    }
}
