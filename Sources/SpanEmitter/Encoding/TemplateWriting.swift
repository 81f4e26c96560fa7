// SPDX-License-Identifier: Apache-2.0
import Propagation

extension ByteWriter {
    /// Appends a span as one of its shape was written before, with its own parts.
    ///
    /// - Parameters:
    ///   - address: the text of the peer's IP address.
    ///   - epochDigits: of the writer of the format.
    /// - Returns: false, without a change, if there is no template.
    // bounded: a shape's template is none or one, and the index is one of the pieces'
    @inline(__always)
    mutating func append(
        _ span: inout SpanRecord, like templates: borrowing SpanTemplates, _ shape: SpanShape, _ address: Span<UInt8>,
        _ epochDigits: inout EpochDigits
    ) -> Bool {
        guard let template = templates[shape] else { return false }
        let start = count
        let pieces = template.pieces
        var place = 0
        for index in pieces.indices {
            let piece = pieces[index]
            append(Int(piece.count), of: template.bytes, from: place)
            place += Int(piece.count)
            switch piece.part {
            case .duration: append(decimal: span.durationMicroseconds)
            case .port: append(decimal: UInt64(span.peer.port))
            case .address: append(address)
            case .path: append(jsonText: span.texts.path)
            case .requestID: append(jsonText: span.texts.requestID)
            default: break
            }
            if piece.part == .end { break }
        }
        let places = template.places
        overwrite(hex: span.traceID.isShort ? span.traceID.low : span.traceID.high, at: start + Int(places.traceID))
        if !span.traceID.isShort { overwrite(hex: span.traceID.low, at: start + Int(places.traceID) + 16) }
        overwrite(hex: span.spanID.value, at: start + Int(places.spanID))
        if places.parentID > 0 { overwrite(hex: span.parentID.value, at: start + Int(places.parentID)) }
        overwrite(microseconds: span.startMicroseconds, known: &epochDigits, at: start + Int(places.start))
        return true
    }
}
