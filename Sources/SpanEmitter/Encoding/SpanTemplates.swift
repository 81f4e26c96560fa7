// SPDX-License-Identifier: Apache-2.0

/// What differs between spans of one ``SpanShape``.
enum SpanPart: UInt8, BitwiseCopyable {
    /// These take as many bytes in every span of a shape.
    case traceID, spanID, parentID, start
    case duration, port, address, path, requestID
    /// None: the span ends.
    case end
}

/// Where the parts of a span stand that is being written.
struct SpanDraft {
    fileprivate var marks: [(part: SpanPart, place: Range<Int>)] = []

    mutating func begin() { marks.removeAll(keepingCapacity: true) }

    mutating func note(_ part: SpanPart, _ place: Range<Int>) { marks.append((part, place)) }

    /// A part that takes as many bytes in every span of a shape begins there.
    mutating func note(_ part: SpanPart, at start: Int) { marks.append((part, start..<start)) }
}

/// A span without its parts.
struct SpanTemplate: ~Escapable {
    /// Bytes to copy, and the part behind them.
    struct Piece: BitwiseCopyable {
        fileprivate(set) var count: UInt16 = 0
        fileprivate(set) var part = SpanPart.end
    }

    /// Where the fixed parts stand, counted from the span's beginning.
    struct Places: BitwiseCopyable {
        fileprivate(set) var traceID: UInt16 = 0
        fileprivate(set) var spanID: UInt16 = 0
        /// 0 without a parent.
        fileprivate(set) var parentID: UInt16 = 0
        fileprivate(set) var start: UInt16 = 0
    }

    /// All pieces in a row, and room behind them.
    let bytes: Span<UInt8>
    /// The last one ends the span.
    let pieces: Span<Piece>
    let places: Places

    @_lifetime(copy bytes, copy pieces)
    fileprivate init(_ bytes: Span<UInt8>, _ pieces: Span<Piece>, _ places: Places) {
        self.bytes = bytes
        self.pieces = pieces
        self.places = places
    }
}

/// Templates of spans that were written, one for each ``SpanShape``: most spans of a proxy are of a few shapes, and differ in a
/// third of their bytes.
struct SpanTemplates {
    /// How many are kept, a power of two.
    private static let limit = 64
    /// Of one template. One that takes more than 700 is not kept, so that there is room behind it.
    private static let byteCount = 768
    private static let byteLimit = 700
    private static let pieceLimit = 12
    /// So many spans have to ask for a place that is taken before one gets it: two shapes in turn shall not be kept in turn.
    private static let patience = 64

    private var shapes = [SpanShape](repeating: SpanShape(), count: limit)
    private var places = [SpanTemplate.Places](repeating: SpanTemplate.Places(), count: limit)
    private var bytes = [UInt8](repeating: 0, count: limit * byteCount)
    private var pieces = [SpanTemplate.Piece](repeating: SpanTemplate.Piece(), count: limit * pieceLimit)
    private var refusedCount = 0

    // bounded: a place is below the limit
    subscript(shape: SpanShape) -> SpanTemplate? {
        @_lifetime(borrow self)
        @inline(__always)
        borrowing get {
            let place = shape.place(of: Self.limit)
            guard shapes.span[place] == shape else { return nil }
            return SpanTemplate(
                bytes.span.extracting(place * Self.byteCount..<(place + 1) * Self.byteCount),
                pieces.span.extracting(place * Self.pieceLimit..<(place + 1) * Self.pieceLimit), places.span[place])
        }
    }

    /// Keeps a span that was just written, without its parts.
    ///
    /// - Parameters:
    ///   - text: all that was written; the span is its end.
    ///   - start: where the span begins.
    // bounded: the limits were compared, and a place is below theirs
    mutating func keep(_ shape: SpanShape, _ draft: SpanDraft, _ text: Span<UInt8>, from start: Int) {
        let place = shape.place(of: Self.limit)
        guard draft.marks.count < Self.pieceLimit, text.count - start <= Self.byteLimit else { return }
        guard shapes[place] == SpanShape() || refusedCount == Self.patience else { return refusedCount += 1 }
        refusedCount = 0
        shapes[place] = shape
        places[place] = SpanTemplate.Places()
        var (byte, piece, position) = (place * Self.byteCount, place * Self.pieceLimit, start)
        func add(upTo end: Int, _ part: SpanPart) {
            pieces[piece] = SpanTemplate.Piece(count: UInt16(truncatingIfNeeded: end - position), part: part)
            for index in position..<end { bytes[byte + index - position] = text[index] }
            byte += end - position
            piece += 1
        }
        for mark in draft.marks {
            let offset = UInt16(truncatingIfNeeded: mark.place.lowerBound - start)
            switch mark.part {
            case .traceID: places[place].traceID = offset
            case .spanID: places[place].spanID = offset
            case .parentID: places[place].parentID = offset
            case .start: places[place].start = offset
            default:
                add(upTo: mark.place.lowerBound, mark.part)
                position = mark.place.upperBound
            }
        }
        add(upTo: text.count, .end)
    }
}
