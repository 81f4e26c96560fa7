// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2

/// Everything a stream gives its socket, and how it ends.
struct StreamText {
    private(set) var bytes: [UInt8] = []
    private(set) var trailers: [UInt8] = []
    /// END_STREAM came with the head.
    private(set) var endedWithHead = false
    /// The peer has ended the stream as it should.
    private(set) var isWhole = false
    private(set) var hasFailed = false
    /// The lines of its head are those of the text.
    private(set) var linesAgree = true

    /// Reads what there is now.
    init(of stream: HTTP2Stream, _ pool: BufferPool) {
        read(stream, pool)
    }

    /// Takes the end away if it is this one.
    mutating func dropEnd(_ end: [UInt8]) -> Bool {
        guard bytes.suffix(end.count).elementsEqual(end) else { return false }
        bytes.removeLast(end.count)
        return true
    }

    mutating func read(_ stream: HTTP2Stream, _ pool: BufferPool) {
        while true {
            var buffer = Buffer(pool: pool)
            switch stream.receive(into: &buffer) {
            case .bytes:
                if bytes.isEmpty { linesAgree = agree(buffer, of: stream) }
                bytes += copy(buffer)
            case .endOfStream:
                isWhole = true
                endedWithHead = stream.endedWithHead
                stream.readTrailers { trailers = copy($0) }
                return
            case .failed:
                hasFailed = true
                return
            case .wouldBlock, .full:
                return endedWithHead = stream.endedWithHead
            }
        }
    }

    private func agree(_ buffer: borrowing Buffer, of stream: HTTP2Stream) -> Bool {
        defer { stream.forgetLines() }
        return LineLaw.agrees(buffer.readable, stream.lines)
    }
}
