// SPDX-License-Identifier: Apache-2.0

/// Reads the chunked coding (RFC 9112 §7.1), one body per value, fed in any pieces.
public struct ChunkedDecoder: BitwiseCopyable, Sendable {
    /// Extensions of all chunks of one message, in bytes. They mean nothing to us and go no further.
    public static let maximumExtensionBytes = 4096
    /// The trailer section, in bytes.
    public static let maximumTrailerBytes = 8192

    public enum Step: BitwiseCopyable, Equatable, Sendable {
        /// Nothing more can be told from these bytes. Those not consumed must be there in the next call.
        case needsMore
        /// Body bytes, already consumed; never empty.
        case data(ByteRange)
        /// The body is whole. Its trailers, each line with CRLF, valid; empty if there are none. Comes once.
        case trailers(ByteRange)
        /// Nothing follows; also every later answer.
        case end
    }

    private enum State: BitwiseCopyable {
        case size
        case chunkExtension(ExtensionState)
        case sizeLineFeed
        case data
        case dataCarriageReturn
        case dataLineFeed
        case trailers
        case end
    }

    private var state = State.size
    private var sizeDigits = 0
    /// Of the current chunk, not yet consumed.
    private var remaining = 0
    private var extensionBytes = 0
    /// Bytes of whole trailer lines that an earlier call found valid, from `offset` on.
    private var checkedTrailerBytes = 0

    public init() {}

    /// One step. Advances `offset` over the bytes it consumed; trailers are consumed all at once.
    public mutating func next(_ bytes: Span<UInt8>, offset: inout Int) throws(SyntaxError) -> Step {
        while true {
            switch state {
            case .data: return takeData(bytes, &offset)
            case .trailers: return try takeTrailers(bytes, &offset)
            case .end: return .end
            default:
                guard offset < bytes.count else { return .needsMore }
                try takeFrame(bytes[offset])
                offset += 1
            }
        }
    }

    private mutating func takeData(_ bytes: Span<UInt8>, _ offset: inout Int) -> Step {
        let count = min(remaining, bytes.count - offset)
        guard count > 0 else { return .needsMore }
        let range = offset..<offset + count
        offset += count
        remaining -= count
        if remaining == 0 { state = .dataCarriageReturn }
        return .data(ByteRange(range))
    }

    /// One byte between two pieces of data.
    private mutating func takeFrame(_ byte: UInt8) throws(SyntaxError) {
        switch state {
        case .size:
            try takeSize(byte)
        case .chunkExtension(let inner):
            extensionBytes += 1
            guard extensionBytes <= Self.maximumExtensionBytes else { throw .chunkExtensionsTooLarge }
            let next = try inner.after(byte)
            state = next.map { .chunkExtension($0) } ?? .sizeLineFeed
        case .sizeLineFeed:
            guard byte == lineFeed else { throw .invalidChunkSize }
            state = remaining == 0 ? .trailers : .data
            sizeDigits = 0
        case .dataCarriageReturn:
            guard byte == carriageReturn else { throw .invalidChunkEnd }
            state = .dataLineFeed
        case .dataLineFeed:
            guard byte == lineFeed else { throw .invalidChunkEnd }
            state = .size
        case .data, .trailers, .end: break
        }
    }

    private mutating func takeSize(_ byte: UInt8) throws(SyntaxError) {
        if let digit = hexValue(byte) {
            // 15 digits keep the size below 2^60, so no sum of ours overflows.
            guard sizeDigits < 15 else { throw .invalidChunkSize }
            sizeDigits += 1
            remaining = remaining << 4 | Int(digit)
            return
        }
        guard sizeDigits > 0 else { throw .invalidChunkSize }
        switch byte {
        case carriageReturn: state = .sizeLineFeed
        case UInt8(ascii: ";"): state = .chunkExtension(.beforeName)
        case space, horizontalTab: state = .chunkExtension(.beforeSemicolon)
        default: throw .invalidChunkSize
        }
    }

    private mutating func takeTrailers(_ bytes: Span<UInt8>, _ offset: inout Int) throws(SyntaxError) -> Step {
        var cursor = Cursor(position: offset + checkedTrailerBytes, end: bytes.count)
        while let next = cursor.peek(in: bytes) {
            guard cursor.position - offset <= Self.maximumTrailerBytes else { throw .trailersTooLarge }
            if next == carriageReturn {
                let lines = offset..<cursor.position
                guard try cursor.takeLineEnd(in: bytes, otherwise: .invalidLineEnd) != nil else { return .needsMore }
                offset = cursor.position
                state = .end
                return .trailers(ByteRange(lines))
            }
            guard let field = try cursor.takeFieldLine(in: bytes) else { break }
            guard !field.kind.isForbiddenInTrailers else { throw .forbiddenTrailer }
            checkedTrailerBytes = cursor.position - offset
        }
        guard bytes.count - offset <= Self.maximumTrailerBytes else { throw .trailersTooLarge }
        return .needsMore
    }
}

/// Where in `*( BWS ";" BWS name [ BWS "=" BWS value ] )` a chunk line is (RFC 9112 §7.1.1).
enum ExtensionState: BitwiseCopyable {
    case beforeSemicolon, beforeName, name, afterName, beforeValue, token, quoted, quotedPair, afterValue

    /// `nil` after the carriage return that ends the line.
    func after(_ byte: UInt8) throws(SyntaxError) -> ExtensionState? {
        switch self {
        case .beforeSemicolon:
            if isBlank(byte) { return .beforeSemicolon }
            if byte == UInt8(ascii: ";") { return .beforeName }
        case .beforeName:
            if isBlank(byte) { return .beforeName }
            if ByteClass.token.contains(byte) { return .name }
        case .name:
            if ByteClass.token.contains(byte) { return .name }
            if isBlank(byte) { return .afterName }
            if byte == UInt8(ascii: "=") { return .beforeValue }
            return try afterMember(byte)
        case .afterName:
            if isBlank(byte) { return .afterName }
            if byte == UInt8(ascii: "=") { return .beforeValue }
            if byte == UInt8(ascii: ";") { return .beforeName }
        case .beforeValue:
            if isBlank(byte) { return .beforeValue }
            if byte == UInt8(ascii: "\"") { return .quoted }
            if ByteClass.token.contains(byte) { return .token }
        case .token:
            if ByteClass.token.contains(byte) { return .token }
            return try afterMember(byte)
        case .quoted:
            if byte == UInt8(ascii: "\"") { return .afterValue }
            if byte == UInt8(ascii: "\\") { return .quotedPair }
            if isFieldValueByte(byte) { return .quoted }
        case .quotedPair:
            if isFieldValueByte(byte) { return .quoted }
        case .afterValue:
            return try afterMember(byte)
        }
        throw .invalidChunkExtension
    }

    private func afterMember(_ byte: UInt8) throws(SyntaxError) -> ExtensionState? {
        switch byte {
        case carriageReturn: return nil
        case UInt8(ascii: ";"): return .beforeName
        case space, horizontalTab: return .beforeSemicolon
        default: throw .invalidChunkExtension
        }
    }
}
