// SPDX-License-Identifier: Apache-2.0
import HTTP1

/// The chunked coding: however the bytes are cut, the decoder reads what a plain reader reads.
///
/// Input: a byte that chooses the pieces, then a body.
final class ChunkedTarget: FuzzTarget {
    func check(_ input: [UInt8]) throws(BrokenLaw) {
        let received = input.dropFirst()
        let plain = PlainChunks(received)
        try compare(received, plain, size: Pieces.size(input.first ?? 15, of: input.count))
        try compare(received, plain, size: .max)
    }

    private func compare(_ received: ArraySlice<UInt8>, _ plain: PlainChunks, size: Int) throws(BrokenLaw) {
        var decoding = Decoding()
        do throws(SyntaxError) {
            try decoding.read(received, size: size)
        } catch {
            return try hold(plain.end != .whole, "refused (\(error)) what is a whole body")
        }
        switch plain.end {
        case .whole:
            try hold(decoding.isWhole, "a whole body is not seen as one")
            try hold(decoding.body == plain.body, "the body differs")
            try hold(decoding.trailers == plain.trailers, "the trailers differ")
            try hold(decoding.consumed == plain.byteCount, "the body ends elsewhere")
        case .cut:
            try hold(!decoding.isWhole, "a cut body is taken for whole")
            try hold(decoding.body == plain.body, "the beginning of the body differs")
        case .malformed: try hold(false, "a malformed body is not refused")
        }
    }
}

/// What the decoder made of a body, fed as a connection feeds it: what it did not consume is there again.
private struct Decoding {
    var body: [UInt8] = []
    var trailers: [UInt8] = []
    var isWhole = false
    var consumed = 0

    mutating func read(_ received: ArraySlice<UInt8>, size: Int) throws(SyntaxError) {
        var decoder = ChunkedDecoder()
        var window: [UInt8] = []
        var rest = received
        while !isWhole, !rest.isEmpty || size == .max {
            window += rest.prefix(size)
            rest = rest.dropFirst(size)
            var offset = 0
            reading: while true {
                switch try decoder.next(window.span, offset: &offset) {
                case .needsMore: break reading
                case .data(let range): body += window[range.range]
                case .trailers(let range): trailers += window[range.range]
                case .end:
                    isWhole = true
                    break reading
                }
            }
            consumed += offset
            window.removeFirst(offset)
            if size == .max { return }
        }
    }
}
