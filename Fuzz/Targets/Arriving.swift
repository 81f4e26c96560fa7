// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1

@testable import PropagatingProxy

/// Bytes that come in pieces into a receive buffer, and a body passed on from there as `Pump` does it.
struct Arriving: ~Copyable {
    private(set) var buffer: Buffer
    private var output: Buffer
    private var rest: ArraySlice<UInt8>
    private let size: Int
    private(set) var consumed = 0
    /// For a stream, apart from the body.
    private(set) var trailers: [UInt8] = []

    init(_ received: [UInt8], size: Int, pool: BufferPool) {
        buffer = Buffer(pool: pool)
        output = Buffer(pool: pool)
        rest = received[...]
        self.size = size
    }

    /// The next piece; `false` when there is none.
    mutating func next() -> Bool {
        guard !rest.isEmpty else { return false }
        let piece = Array(rest.prefix(size))
        rest = rest.dropFirst(size)
        return buffer.append(copying: piece.span) == piece.count
    }

    mutating func consume(_ count: Int) {
        buffer.consume(count)
        consumed += count
    }

    mutating func pass(
        through relay: inout BodyRelay, isTight: Bool, to sent: inout [UInt8]
    ) throws(SyntaxError) {
        repeat {
            while !relay.isComplete, !buffer.isEmpty {
                guard try passOnce(through: &relay, isTight: isTight, to: &sent) else { break }
            }
        } while !relay.isComplete && next()
    }

    /// The sender has closed, with trailers if it was a stream. Answers whether the body was whole.
    mutating func close(_ relay: inout BodyRelay, trailers lines: [UInt8] = [], to sent: inout [UInt8]) -> Bool {
        defer { output.release() }
        var trailers: [UInt8] = []
        let isWhole = relay.sourceClosed(trailers: lines.span, into: &output) { Self.add($0, to: &trailers) }
        self.trailers += trailers
        sent += Self.bytes(of: output, 0..<output.count)
        return isWhole
    }

    /// - Returns: whether anything moved.
    private mutating func passOnce(
        through relay: inout BodyRelay, isTight: Bool, to sent: inout [UInt8]
    ) throws(SyntaxError) -> Bool {
        if let count = relay.verbatimCount(of: buffer.count) {
            sent += Self.bytes(of: buffer, 0..<count)
            relay.passed(count)
            consume(count)
            return count > 0
        }
        let filled = isTight ? fill() : 0
        var used = try reframe(&relay)
        if used == 0, output.count == filled, isTight {
            // The kernel has taken what was in the way.
            output.release()
            used = try reframe(&relay)
            sent += Self.bytes(of: output, 0..<output.count)
        } else {
            sent += Self.bytes(of: output, filled..<output.count)
        }
        output.release()
        consume(used)
        return used > 0
    }

    private mutating func reframe(_ relay: inout BodyRelay) throws(SyntaxError) -> Int {
        _ = output.reserve()
        var trailers: [UInt8] = []
        defer { self.trailers += trailers }
        return try Self.reframe(buffer, with: &relay, into: &output, &trailers)
    }

    /// Apart, so that one buffer is lent while the other is changed.
    private static func reframe(
        _ buffer: borrowing Buffer, with relay: inout BodyRelay, into output: inout Buffer, _ trailers: inout [UInt8]
    ) throws(SyntaxError) -> Int {
        try relay.reframe(buffer.readable, into: &output) { add($0, to: &trailers) }
    }

    private static func add(_ lines: Span<UInt8>, to trailers: inout [UInt8]) {
        for index in lines.indices { trailers.append(lines[index]) }
    }

    /// Leaves 48 bytes of room.
    private mutating func fill() -> Int {
        output.append { out in
            out.append(repeating: 0, count: out.freeCapacity - 48)
            return out.count
        } ?? 0
    }

    private static func bytes(of buffer: borrowing Buffer, _ range: Range<Int>) -> [UInt8] {
        let span = buffer.readable
        return [UInt8](capacity: range.count) { out in
            for index in range { out.append(span[index]) }
        }
    }
}
