// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1

/// The framing of one message body on its way through: what it is delimited by where it comes
/// from, and whether it goes on in chunks of our own (RFC 9112 §6–7). Knows no sockets.
struct BodyRelay: BitwiseCopyable {
    private enum Source: UInt8, BitwiseCopyable {
        case ended
        /// So many bytes as are ``left``.
        case length
        /// As the ``decoder`` says.
        case chunked
        /// Until the sender closes; also a tunnel's direction.
        case untilClose
    }

    /// How the receiver is told where the body ends.
    enum Sink: BitwiseCopyable {
        /// By its length, or by the end of the connection.
        case plain
        /// `Transfer-Encoding: chunked`.
        case chunks
        /// An HTTP/2 stream, which ends by itself and takes trailers apart from the body.
        case stream
    }

    private var source: Source
    private let sink: Sink
    private var left: UInt64 = 0
    private var decoder = ChunkedDecoder()
    /// Body bytes passed so far, without framing.
    private(set) var byteCount: UInt64 = 0

    /// - Parameter streamGoesOn: the source is an HTTP/2 stream that has not ended with its head. Towards another stream
    ///   its end is the body's, whatever length was declared: trailers may follow (RFC 9113 §8.1).
    init(_ framing: BodyFraming, streamGoesOn: Bool = false, to sink: Sink) {
        self.sink = sink
        switch framing {
        case .length where streamGoesOn && sink == .stream: source = .untilClose
        case .none, .length(0): source = .ended
        case .length(let count): (source, left) = (.length, count)
        case .chunked: source = .chunked
        case .untilClose: source = .untilClose
        }
    }

    /// One direction of a tunnel (RFC 9110 §7.8).
    static var tunnel: BodyRelay { BodyRelay(.untilClose, to: .plain) }

    /// Whether nothing more has to come from the source.
    var isComplete: Bool { source == .ended }

    /// How many of `available` bytes may be passed on as they are; `nil` when they must be re-framed.
    func verbatimCount(of available: Int) -> Int? {
        switch source {
        case .ended: 0
        case .length where sink != .chunks: Int(clamping: min(left, UInt64(available)))
        case .untilClose where sink != .chunks: available
        case .length, .untilClose, .chunked: nil
        }
    }

    /// Notes that so many bytes were passed on as they are.
    mutating func passed(_ count: Int) {
        byteCount += UInt64(count)
        guard source == .length else { return }
        left -= min(left, UInt64(count))
        if left == 0 { source = .ended }
    }

    /// Decodes from `bytes`, writes re-framed to `out` as much as it has room for.
    ///
    /// - Parameter sendTrailers: called with the field lines a stream takes apart from the body.
    /// - Returns: how many of `bytes` were used up; 0 when more are needed, or more room.
    // bounded: count is at most what is left behind offset
    mutating func reframe(
        _ bytes: Span<UInt8>, into out: inout Buffer, sendTrailers: (Span<UInt8>) -> Void = { _ in }
    ) throws(SyntaxError) -> Int {
        var offset = 0
        while offset < bytes.count {
            let room = out.freeCount - Self.chunkOverhead
            guard room > 0 else { break }
            switch source {
            case .ended: return offset
            case .length:
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
            case .chunked:
                let window = bytes.extracting(first: min(bytes.count, offset + room))
                switch try decoder.next(window, offset: &offset) {
                case .needsMore: return offset
                case .data(let range):
                    write(bytes.extracting(range.range), into: &out)
                    byteCount += UInt64(range.range.count)
                case .trailers(let range):
                    pass(trailers: bytes.extracting(range.range), into: &out, sendTrailers)
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
    ///
    /// - Parameter trailers: field lines that a stream ended with.
    mutating func sourceClosed(
        trailers: Span<UInt8> = Span(), into out: inout Buffer, sendTrailers: (Span<UInt8>) -> Void = { _ in }
    ) -> Bool {
        guard source == .untilClose else { return isComplete }
        if sink == .chunks, !out.reserve() { return false }
        if trailers.isEmpty { writeEnd(into: &out) } else { pass(trailers: trailers, into: &out, sendTrailers) }
        source = .ended
        return true
    }

    /// A chunk's size line and both its CRLF, or the end of the body.
    private static let chunkOverhead = 32

    private func write(_ data: Span<UInt8>, into out: inout Buffer) {
        _ = out.append { out in
            guard sink == .chunks else { return out.write(data) }
            writeChunkSize(data.count, into: &out)
            out.write(data)
            out.write("\r\n")
        }
    }

    /// A receiver that has no place for trailers gets none.
    private func pass(trailers lines: Span<UInt8>, into out: inout Buffer, _ sendTrailers: (Span<UInt8>) -> Void) {
        switch sink {
        case .plain: break
        case .chunks:
            _ = out.append { out in
                out.write("0\r\n")
                TrailerLines.forEachForwarded(lines) { out.write($0) }
                out.write("\r\n")
            }
        case .stream: TrailerLines.forEachForwarded(lines, sendTrailers)
        }
    }

    private func writeEnd(into out: inout Buffer) {
        guard sink == .chunks else { return }
        _ = out.append { $0.write("0\r\n\r\n") }
    }
}
