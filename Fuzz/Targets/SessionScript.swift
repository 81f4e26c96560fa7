// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2

/// Steps read from an input: frames the peer sends, good and bad, and what the owner and the streams' sockets do.
struct SessionScript {
    private var feed: Feed
    private let owner: SessionOwner
    private let size: Int
    /// What the peer has sent and the owner not yet received.
    private var wire: [UInt8] = []
    private var last: [UInt8] = []
    /// The stream the peer opens next.
    private var next: UInt32 = 1

    init(_ input: ArraySlice<UInt8>, _ owner: SessionOwner, size: Int) {
        feed = Feed(Array(input))
        self.owner = owner
        self.size = size
        wire = (owner.isServer ? Frames.preface : []) + Frames.settings
    }

    mutating func run() throws(BrokenLaw) {
        // Long enough for every limit, short enough to be done in time.
        for _ in 0..<600 where !feed.isEmpty {
            let step = feed.byte()
            if step & 0x80 == 0 { peer(step) } else { try own(step & 0x7f) }
            if wire.count > 1 << 16 { try arrive() }
        }
        try arrive()
        try owner.finish()
    }

    private mutating func arrive() throws(BrokenLaw) {
        try owner.receive(wire[...], size: max(size, wire.count / 64))
        wire = []
    }

    // MARK: The peer

    private mutating func peer(_ step: UInt8) {
        switch step & 15 {
        case 0: send(feed.bytes())
        case 1, 2: send(head(isTrailers: false, ends: step & 16 != 0))
        case 3: send(head(isTrailers: true, ends: step & 16 != 0))
        case 4, 5:
            let count = Int(feed.number(UInt16.self) & 0x3fff)
            let flags = step & 16 != 0 ? Frames.endStream : 0
            send(Frames.frame(.data, flags: flags, stream: stream(), [UInt8](repeating: 1, count: count)))
        case 6: send(Frames.frame(.reset, stream: stream(), Frames.number(UInt32(feed.byte()))))
        case 7: send(Frames.frame(.windowUpdate, stream: stream(), Frames.number(feed.number())))
        case 8: send(Frames.frame(.settings, setting()))
        case 9:
            send(step & 16 == 0 ? Frames.settingsAcknowledged : Frames.frame(.ping, [UInt8](repeating: 1, count: 8)))
        case 10: send(Frames.frame(.goAway, Frames.number(stream()) + Frames.number(UInt32(feed.byte()))))
        case 11: send(Frames.frame(.priority, stream: stream(), Frames.number(stream()) + [feed.byte()]))
        case 12: send(Frames.frame(.continuation, flags: feed.byte(), stream: stream(), feed.bytes()))
        case 13:
            let (kind, flags) = (feed.byte(), feed.byte())
            send(Frames.frame(kind, flags: flags, stream: stream(), feed.bytes()))
        case 14:
            let count = min(Int(feed.byte()), (1 << 16) / max(last.count, 1))
            for _ in 0..<count { wire += last }
        default:  // A WINDOW_UPDATE that does good, so that long bodies come to their end.
            send(Frames.frame(.windowUpdate, stream: stream(), Frames.number(1 << 16)))
        }
    }

    private mutating func send(_ bytes: [UInt8]) {
        last = bytes
        wire += bytes
    }

    /// Mostly one that there is.
    private mutating func stream() -> UInt32 {
        let choice = feed.byte()
        switch choice {
        case 0: return 0
        case 255: return feed.number()
        default: return UInt32(choice) * 2 - 1
        }
    }

    private mutating func setting() -> [UInt8] {
        [0, feed.byte() & 7] + Frames.number(feed.flag() ? UInt32(feed.byte()) : feed.number())
    }

    /// A head of the right form, for the next stream or one that is open, with fields from the input.
    private mutating func head(isTrailers: Bool, ends: Bool) -> [UInt8] {
        let choice = feed.byte()
        var fields: [RawField] = []
        if !isTrailers {
            fields = owner.isServer ? Self.request : [RawField(":status", choice & 64 == 0 ? "200" : "103")]
        }
        for _ in 0..<choice & 7 { fields.append(RawField(feed.bytes(), feed.bytes())) }
        if choice & 8 != 0 { fields += [RawField(feed.flag() ? "cookie" : "x-a", "b")] }
        if choice & 16 != 0 { fields += [RawField("content-length", "\(feed.byte())")] }
        if choice & 32 != 0 { fields += [RawField](repeating: RawField("x-b", "c"), count: Int(feed.byte())) }
        var id = next
        if isTrailers || !owner.isServer || choice & 128 != 0 { id = stream() } else { next += 2 }
        let size = choice & 64 != 0 && owner.isServer ? 200 : 16_384
        return Frames.head(Frames.block(fields), flags: ends ? Frames.endStream : 0, stream: id, size: size)
    }

    private static let request = [
        RawField(":method", "POST"), RawField(":scheme", "http"), RawField(":path", "/a?b"),
        RawField(":authority", "a.test"),
    ]

    // MARK: The owner

    private mutating func own(_ step: UInt8) throws(BrokenLaw) {
        switch step & 15 {
        case 0: return try owner.write(taking: Int(feed.number(UInt16.self)))
        case 1: return try owner.writeAll()
        case 2: owner.now += UInt64(feed.byte()) * 100_000
        case 3: owner.session.sweepStalledStreams()
        case 4 where step & 0x60 == 0: owner.session.announceGoAway()
        case 5 where step & 0x60 == 0: owner.session.goAway(HTTP2ErrorCode(rawValue: UInt32(feed.byte())))
        case 6, 7: owner.open()
        case 8: return try arrive()
        default:
            guard !owner.held.isEmpty else { return }
            try socket(step & 15, Int(feed.byte()) % owner.held.count, step & 16 != 0)
        }
        try owner.deliver()
    }

    /// What a socket does, which keeps to the order a socket keeps to.
    private mutating func socket(_ step: UInt8, _ index: Int, _ choice: Bool) throws(BrokenLaw) {
        let stream = owner.held[index].stream
        switch step {
        case 9: try owner.take(index, at: choice ? 1 : 8)
        case 10:
            guard !owner.held[index].hasSentHead else { return try sendBody(stream) }
            let isInterim = owner.isServer && choice && feed.flag()
            owner.held[index].hasSentHead = !isInterim
            let line = owner.isServer ? isInterim ? "HTTP/1.1 103 \r\n" : "HTTP/1.1 200 OK\r\n" : "PUT /b HTTP/1.1\r\n"
            let fields =
                "Host: a.test\r\nTE: trailers\r\nX-C: \(String(repeating: "d", count: Int(feed.byte()) * 16))\r\n"
            _ = stream.send(Array((line + fields + "\r\n").utf8).span)
        case 11, 12: if owner.held[index].hasSentHead { try sendBody(stream) }
        case 13:
            guard owner.held[index].hasSentHead else { return }
            if choice { stream.sendTrailers(Array("grpc-status: 0\r\nX-T: u\r\n".utf8).span) }
            stream.shutdownWrite()
        case 14:
            stream.awaitWritable()
            if choice { stream.reset(HTTP2ErrorCode(rawValue: UInt32(feed.byte()))) }
        default:
            if choice { stream.cutCode = HTTP2ErrorCode(rawValue: UInt32(feed.byte())) }
            owner.close(index, isCut: choice)
        }
    }

    private mutating func sendBody(_ stream: HTTP2Stream) throws(BrokenLaw) {
        let body = [UInt8](repeating: 2, count: Int(feed.number(UInt16.self)))
        switch stream.send(body.span) {
        case .sent(let count): try hold(count <= body.count && count >= 0, "more is sent than there was")
        case .wouldBlock: stream.awaitWritable()
        case .failed: break
        }
    }
}
