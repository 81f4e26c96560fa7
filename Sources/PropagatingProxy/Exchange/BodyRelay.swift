// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1

/// The framing of one message body on its way through: what it is delimited by where it comes
/// from, and whether it goes on in chunks of our own (RFC 9112 §6–7). Knows no sockets.
struct BodyRelay: BitwiseCopyable {
    private enum Source: BitwiseCopyable {
        case ended
        case length(UInt64)
        case chunked(ChunkedDecoder)
        /// Until the sender closes; also a tunnel's direction.
        case untilClose
    }

    private var source: Source
    private let writesChunks: Bool
    /// Body bytes passed so far, without framing.
    private(set) var byteCount: UInt64 = 0

    /// - Parameter writesChunks: whether the receiver is told `Transfer-Encoding: chunked`.
    init(_ framing: BodyFraming, writesChunks: Bool) {
        self.writesChunks = writesChunks
        switch framing {
        case .none, .length(0): source = .ended
        case .length(let count): source = .length(count)
        case .chunked: source = .chunked(ChunkedDecoder())
        case .untilClose: source = .untilClose
        }
    }

    /// One direction of a tunnel (RFC 9110 §7.8).
    static var tunnel: BodyRelay { BodyRelay(.untilClose, writesChunks: false) }

    /// Whether nothing more has to come from the source.
    var isComplete: Bool {
        if case .ended = source { return true }
        return false
    }

    /// How many of `available` bytes may be passed on as they are; `nil` when they must be re-framed.
    func verbatimCount(of available: Int) -> Int? {
        switch source {
        case .ended: 0
        case .length(let left) where !writesChunks: Int(clamping: min(left, UInt64(available)))
        case .untilClose where !writesChunks: available
        case .length, .untilClose, .chunked: nil
        }
    }

    /// Notes that so many bytes were passed on as they are.
    mutating func passed(_ count: Int) {
        byteCount += UInt64(count)
        guard case .length(let left) = source else { return }
        let rest = left - min(left, UInt64(count))
        source = rest == 0 ? .ended : .length(rest)
    }

    /// Decodes from `bytes`, writes re-framed to `out` as much as it has room for.
    ///
    /// - Returns: how many of `bytes` were used up; 0 when more are needed, or more room.
    // bounded: count is at most what is left behind offset
    mutating func reframe(_ bytes: Span<UInt8>, into out: inout Buffer) throws(SyntaxError) -> Int {
        var offset = 0
        while offset < bytes.count {
            let room = out.freeCount - Self.chunkOverhead
            guard room > 0 else { break }
            switch source {
            case .ended: return offset
            case .length(let left):
                let count = min(Int(clamping: left), bytes.count - offset, room)
                write(bytes.extracting(offset..<offset + count), into: &out)
                offset += count
                passed(count)
                if isComplete { writeEnd(into: &out) }
            case .untilClose:
                let count = min(bytes.count - offset, room)
                write(bytes.extracting(offset..<offset + count), into: &out)
                offset += count
                passed(count)
            case .chunked(var decoder):
                let window = bytes.extracting(first: min(bytes.count, offset + room))
                let step = try decoder.next(window, offset: &offset)
                source = .chunked(decoder)
                switch step {
                case .needsMore: return offset
                case .data(let range):
                    write(bytes.extracting(range.range), into: &out)
                    byteCount += UInt64(range.range.count)
                case .trailers(let range):
                    writeTrailers(bytes.extracting(range.range), into: &out)
                    source = .ended
                case .end:
                    writeEnd(into: &out)
                    source = .ended
                }
            }
        }
        return offset
    }

    /// The sender has closed. Answers whether the body was whole.
    mutating func sourceClosed(into out: inout Buffer) -> Bool {
        guard case .untilClose = source else { return isComplete }
        if writesChunks {
            guard out.reserve() else { return false }
            writeEnd(into: &out)
        }
        source = .ended
        return true
    }

    /// A chunk's size line and both its CRLF, or the end of the body.
    private static let chunkOverhead = 32

    private func write(_ data: Span<UInt8>, into out: inout Buffer) {
        _ = out.append { out in
            guard writesChunks else { return out.write(data) }
            writeChunkSize(data.count, into: &out)
            out.write(data)
            out.write("\r\n")
        }
    }

    /// The last chunk and the trailer section; a receiver without chunks gets neither. Trace fields end here.
    private func writeTrailers(_ lines: Span<UInt8>, into out: inout Buffer) {
        guard writesChunks else { return }
        _ = out.append { out in
            out.write("0\r\n")
            var start = 0
            while start < lines.count {
                let line = Self.line(at: start, in: lines)
                start += line.count
                if !Self.carriesTrace(line) { out.write(line) }
            }
            out.write("\r\n")
        }
    }

    /// With its CRLF; the decoder has seen that every line has one.
    @_lifetime(copy lines)
    private static func line(at start: Int, in lines: Span<UInt8>) -> Span<UInt8> {
        var end = start
        while end < lines.count, lines[end] != UInt8(ascii: "\n") { end += 1 }
        return lines.extracting(start..<min(end + 1, lines.count))  // bounded: end starts at start, which has a line
    }

    private static func carriesTrace(_ line: Span<UInt8>) -> Bool {
        var colon = 0
        while colon < line.count, line[colon] != UInt8(ascii: ":") { colon += 1 }
        return FieldKind(name: line.extracting(first: colon)).isTraceField
    }

    private func writeEnd(into out: inout Buffer) {
        guard writesChunks else { return }
        _ = out.append { $0.write("0\r\n\r\n") }
    }
}
