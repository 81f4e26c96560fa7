// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Glibc
import Testing

@testable import HTTP2

/// Frames of which too many end the connection.
struct Flood: CustomTestStringConvertible {
    let testDescription: String
    let limit: HTTP2Limit
    /// So many are taken.
    let taken: Int
    let frame: @Sendable (UInt32) -> [UInt8]

    init(_ name: String, _ limit: HTTP2Limit, taken: Int, frame: @escaping @Sendable (UInt32) -> [UInt8]) {
        (testDescription, self.limit, self.taken, self.frame) = (name, limit, taken, frame)
    }

    static let all = [
        Flood("PING", .controlFrames, taken: 99) { _ in Frame(.ping, Array(repeating: 1, count: 8)).bytes },
        Flood("SETTINGS", .controlFrames, taken: 99) { _ in Frame(.settings, [0, 4, 0, 1, 0, 0]).bytes },
        Flood("unknown frames", .controlFrames, taken: 99) { _ in Frame(.unknown).bytes },
        Flood("WINDOW_UPDATE of the connection", .windowUpdates, taken: 5) { _ in
            Frame(.windowUpdate, [0, 0, 0, 1]).bytes
        },
        Flood("PRIORITY", .priority, taken: 100) { Frame(.priority, stream: 2 * $0 + 1, [0, 0, 0, 0, 16]).bytes },
        Flood("HEADERS and RST_STREAM", .resets, taken: 100) {
            Frame.request(2 * $0 + 1).bytes + Frame(.reset, stream: 2 * $0 + 1, [0, 0, 0, 8]).bytes
        },
        Flood("malformed requests", .resets, taken: 100) {
            Frame.request(2 * $0 + 1, [("connection", "close")]).bytes
        },
        Flood("heads the translation refuses", .resets, taken: 100) { Frame.request(2 * $0 + 1, path: "x").bytes },
        Flood("windows that overflow", .resets, taken: 100) {
            Frame.request(2 * $0 + 1).bytes + Frame(.windowUpdate, stream: 2 * $0 + 1, [127, 255, 255, 255]).bytes
        },
        Flood("bodies longer than they said", .resets, taken: 100) {
            Frame.request(2 * $0 + 1, [("content-length", "1")], method: "POST", flags: 4).bytes
                + Frame(.data, flags: 1, stream: 2 * $0 + 1, [1, 2, 3]).bytes
        },
    ]
}

@Suite("What one HTTP/2 peer may do before it is sent away (reliability.md B.2)")
struct LimitTests {
    @Test("A flood ends the connection with ENHANCE_YOUR_CALM, and is counted", arguments: Flood.all)
    func flood(_ flood: Flood) throws {
        let peer = try RawPeer()
        var count: UInt32 = 0
        while !peer.isOver, count < 3000 {
            peer.send(flood.frame(count))
            count += 1
        }
        #expect(Int(count) == flood.taken + 1)
        #expect(peer.goAway == .enhanceYourCalm)
        #expect(peer.session.exceeded == flood.limit)
        #expect(peer.session.counts[flood.limit.rawValue] == 1)
        #expect(peer.session.isFinished)
    }

    @Test(
        "What comes slowly is no flood", arguments: Flood.all.filter { [.controlFrames, .resets].contains($0.limit) })
    func slow(_ flood: Flood) throws {
        let peer = try RawPeer()
        for count in 0..<500 as Range<UInt32> {
            peer.now += 100_000
            peer.send(flood.frame(count))
        }
        #expect(!peer.isOver)
    }

    @Test("A flood that comes in one read is counted once")
    func floodAtOnce() throws {
        var limits = HTTP2Limits()
        limits.resets.burst = 10
        let peer = try RawPeer(limits)
        peer.send((0..<50).flatMap { Frame.request(2 * $0 + 1, [("connection", "close")]).bytes })
        #expect(peer.isOver && peer.goAway == .enhanceYourCalm)
        #expect(peer.session.counts[HTTP2Limit.resets.rawValue] == 1)
    }

    @Test("Empty DATA frames: ten in a row are taken, one with bytes between them starts anew")
    func emptyFrames() throws {
        let peer = try RawPeer()
        peer.send(Frame.request(1, method: "POST", flags: 4))
        for _ in 0..<5 {
            peer.send(Frame(.data, stream: 1), times: 10)
            peer.send(Frame(.data, stream: 1, [1]))
        }
        #expect(!peer.isOver)
        peer.send(Frame(.data, stream: 1), times: 11)
        #expect(peer.session.exceeded == .emptyFrames)
    }

    @Test("A PING for each DATA frame is what peers do that measure the bandwidth: no flood")
    func measuringPeer() throws {
        let peer = try RawPeer()
        peer.send(Frame.request(1, method: "POST", flags: 4))
        for _ in 0..<1000 {
            peer.send(Frame(.data, stream: 1, [1]).bytes + Frame(.ping, Array(repeating: 1, count: 8)).bytes)
        }
        #expect(!peer.isOver)
    }

    @Test("Cancelled requests among as many that end well are no flood")
    func mixedResets() throws {
        let peer = try RawPeer()
        for id in stride(from: 1, to: 12_000, by: 4) as StrideTo<UInt32> {
            peer.send(Frame.request(id))
            let stream = try #require(peer.arrived.last)
            _ = stream.send(text: ok)
            stream.shutdownWrite()
            peer.read()
            stream.close(isCut: false)
            peer.send(Frame.request(id + 2).bytes + Frame(.reset, stream: id + 2, [0, 0, 0, 8]).bytes)
        }
        #expect(!peer.isOver)
    }

    @Test("A request that is reset in the same read is never told of")
    func neverTold() throws {
        let peer = try RawPeer()
        peer.send(Frame.request(1).bytes + Frame(.reset, stream: 1, [0, 0, 0, 8]).bytes)
        #expect(peer.arrived.isEmpty)
        #expect(peer.session.streamCount == 0)
    }

    @Test("Eight CONTINUATION frames complete a head, a ninth ends the connection")
    func continuations() throws {
        let peer = try RawPeer()
        for (id, count) in [(1, 8), (3, 9)] as [(UInt32, Int)] {
            let head = Frame.request(id, flags: 1)
            peer.send(head)
            for number in 1...count {
                peer.send(Frame(.continuation, flags: number == count ? 4 : 0, stream: id, Frame.block([("x", "y")])))
            }
        }
        #expect(peer.arrived.count == 1)
        #expect(peer.isOver && peer.session.exceeded == .continuations)
    }

    @Test("More than 32 entries of one SETTINGS frame end the connection")
    func settingsEntries() throws {
        let peer = try RawPeer()
        peer.send(Frame(.settings, Array(repeating: [0, 4, 0, 1, 0, 0], count: 32).flatMap { $0 }))
        #expect(!peer.isOver)
        peer.send(Frame(.settings, Array(repeating: [0, 4, 0, 1, 0, 0], count: 33).flatMap { $0 }))
        #expect(peer.session.exceeded == .settingsEntries)
    }

    @Test("A peer that does not read its acknowledgements is not read from")
    func unreadAcknowledgements() throws {
        let session = try HTTP2Session(.server, limits: HTTP2Limits(), buffers: BufferPool(limit: 10))
        let start = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + Frame(.settings).bytes
        #expect(session.take(start))
        let ping = Frame(.ping, Array(repeating: 1, count: 8)).bytes
        for _ in 0..<60 { #expect(session.take(ping)) }
        #expect(!session.shouldPauseReading)
        for _ in 0..<5 { #expect(session.take(ping)) }
        #expect(session.shouldPauseReading)
        var out = Buffer(pool: BufferPool(limit: 1))
        session.write(into: &out)
        #expect(!session.shouldPauseReading)
    }

    @Test(
        "A head beyond the limits is not stored, and its stream is to be answered 431",
        arguments: [
            ("101 fields", (0..<100).map { ("x\($0)", "v") }),
            ("64 KiB", [("x", String(repeating: "v", count: 65_536 - 200))]),
            ("Cookie in pieces", (0..<100).map { _ in ("cookie", "") }),
        ])
    func largeHead(_ name: String, _ fields: [(String, String)]) throws {
        let peer = try RawPeer()
        let block = Frame.request(1, fields).payload
        // Frames carry 16 KiB.
        peer.send(Frame(.headers, flags: 1, stream: 1, Array(block.prefix(16_000))))
        for start in stride(from: 16_000, to: max(block.count, 16_001), by: 16_000) {
            let part = Array(block.dropFirst(start).prefix(16_000))
            peer.send(Frame(.continuation, flags: start + 16_000 >= block.count ? 4 : 0, stream: 1, part))
        }
        let stream = try #require(peer.arrived.first)
        #expect(stream.refusal == 431)
        #expect(stream.readAll(peer.pool).text.isEmpty)
        #expect(peer.session.counts[HTTP2Limit.headerList.rawValue] == 1)
        _ = stream.send(text: "HTTP/1.1 431 Large\r\n\r\n")
        stream.shutdownWrite()
        stream.close(isCut: false)
        peer.read()
        #expect(peer.frames.contains { $0.kind == .headers && $0.flags & 1 == 1 })
        #expect(!peer.isOver && peer.pool.inUse == 0)
    }

    @Test("A head many times beyond the limits, as a few bytes can make one, is not read to its end")
    func bomb() throws {
        let peer = try RawPeer()
        let pseudo = Frame.request(1).payload
        // A field of 3,900 bytes enters the table (RFC 7541 §6.2.1), and is named 4,000 times by one byte.
        let field = [0x40, 1, UInt8(ascii: "x"), 127, 0xbd, 0x1d] + Array(repeating: UInt8(ascii: "v"), count: 3900)
        peer.send(Frame(.headers, flags: 5, stream: 1, pseudo + field + Array(repeating: 0xbe, count: 4000)))
        #expect(peer.reset(of: 1) == .enhanceYourCalm && peer.arrived.isEmpty)
        #expect(peer.session.counts[HTTP2Limit.headerList.rawValue] == 1)
        #expect(!peer.isOver && peer.pool.inUse == 0)
        peer.send(Frame.request(3))
        #expect(peer.arrived.count == 1, "the table is as the peer has it")
    }

    @Test("A head at the limits is taken whole")
    func largestHead() throws {
        let peer = try RawPeer()
        peer.send(Frame.request(1, (0..<99).map { ("x\($0)", "v") }))
        #expect(peer.arrived.first?.refusal == 0)
        #expect(peer.arrived.first?.readAll(peer.pool).text.hasSuffix("x98: v\r\n\r\n") == true)
    }

    @Test("Streams beyond 100 at once are refused before the peer knows the limit, and end the connection afterwards")
    func concurrentStreams() throws {
        let early = try RawPeer(acknowledges: false)
        for number in 0..<103 as Range<UInt32> { early.send(Frame.request(2 * number + 1, flags: 4)) }
        #expect(early.arrived.count == 100)
        #expect(early.reset(of: 203) == .refusedStream && early.reset(of: 205) == .refusedStream)
        #expect(!early.isOver && early.session.counts[HTTP2Limit.concurrentStreams.rawValue] == 3)
        let late = try RawPeer()
        for number in 0..<103 as Range<UInt32> { late.send(Frame.request(2 * number + 1, flags: 4)) }
        #expect(late.isOver && late.goAway == .protocolError)
    }

    @Test("A response the peer does not let go is reset after three sweeps, and gives its memory back")
    func stalled() throws {
        let peer = try RawPeer()
        peer.send(Frame(.settings, [0, 4, 0, 0, 0, 0]))
        peer.send(Frame.request(1))
        let stream = try #require(peer.arrived.first)
        _ = stream.readAll(peer.pool)
        #expect(stream.send(text: ok + String(repeating: "x", count: 100_000)) == .sent(ok.utf8.count + 16_384))
        peer.read()
        for _ in 0..<3 { peer.session.sweepStalledStreams() }
        #expect(stream.failure == 0)
        peer.session.sweepStalledStreams()
        peer.read()
        #expect(stream.readAll(peer.pool).failure == ETIMEDOUT)
        #expect(peer.reset(of: 1) == .cancel)
        #expect(peer.pool.inUse == 0)
    }

    @Test("A request whose block cannot be had is refused, and can be sent again")
    func noMemory() throws {
        let peer = try RawPeer()
        var held = [HTTP2Stream]()
        for number in 0..<50 as Range<UInt32> {
            peer.send(Frame.request(2 * number + 1, flags: 4))
            held = peer.arrived
        }
        #expect(held.count == 50 && peer.pool.inUse == 50)
        let tight = BufferPool(limit: 3)
        let session = try HTTP2Session(.server, limits: HTTP2Limits(), buffers: tight)
        let start =
            Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + Frame(.settings).bytes
            + (0..<5).flatMap { Frame.request(2 * $0 + 1).bytes }
        #expect(session.take(start))
        var taken = 0
        while session.takeNews() != nil { taken += 1 }
        #expect(taken == 3)
        #expect(session.counts[HTTP2Limit.memory.rawValue] == 2)
    }
}
