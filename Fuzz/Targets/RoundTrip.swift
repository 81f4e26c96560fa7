// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2

/// A client session and a server session that are given each other's bytes, however they are cut, with exchanges made
/// of an input's bytes: heads, bodies and trailers arrive as they were sent, and nothing waits for ever.
final class RoundTrip {
    let client: HTTP2Session
    private let server: HTTP2Session
    private let pool: BufferPool
    private let size: Int
    private var feed: Feed
    private var upward: Buffer
    private var downward: Buffer
    private var exchanges: [Exchanged] = []

    init(
        _ input: ArraySlice<UInt8>, _ pool: BufferPool, _ memory: SessionMemory, size: Int
    ) throws(BrokenLaw) {
        feed = Feed(Array(input))
        self.pool = pool
        self.size = size
        var limits = HTTP2Limits()
        limits.streamWindow = [65_535, 1024, 4096, 16_384][Int(feed.byte() & 3)]
        // What is cut small makes many small frames, which are no flood here.
        limits.windowUpdates = 100_000
        do {
            client = try HTTP2Session(.client, limits: limits, buffers: pool, memory: memory)
            server = try HTTP2Session(.server, limits: limits, buffers: pool, memory: memory)
        } catch { throw BrokenLaw(law: "no session: \(error)") }
        upward = Buffer(pool: pool)
        downward = Buffer(pool: pool)
        for _ in 0...feed.byte() & 3 {
            exchanges.append(Exchanged(Sending(request: &feed), Sending(response: &feed)))
        }
    }

    func run() throws(BrokenLaw) {
        for _ in 0..<200 where !feed.isEmpty { _ = try step(feed.byte()) }
        try settle()
        for exchange in exchanges { try exchange.judge() }
        try settle()
        try hold(client.limitsReached == 0 && server.limitsReached == 0, "a limit of good manners is reached")
        try hold(client.streamCount == 0 && server.streamCount == 0, "streams are left")
        client.connectionLost()
        server.connectionLost()
        upward.release()
        downward.release()
    }

    /// Until nothing moves.
    private func settle() throws(BrokenLaw) {
        var isMoving = true
        while isMoving {
            isMoving = false
            for choice in UInt8(0)..<8 { if try step(choice | 0xf8) { isMoving = true } }
        }
    }

    /// - Returns: whether anything moved.
    private func step(_ choice: UInt8) throws(BrokenLaw) -> Bool {
        let amount = choice >= 0xf8 ? 1 << 16 : Int(choice) << 5 + 1
        switch choice & 7 {
        case 0: return try carry(client, server, &upward)
        case 1: return try carry(server, client, &downward)
        case 2: return exchanges.reversed().contains { $0.open(client) }
        default:
            var hasMoved = false
            for exchange in exchanges where choice & 8 != 0 || exchange === exchanges.last {
                if try exchange.act(choice & 7, amount, pool) { hasMoved = true }
            }
            return hasMoved
        }
    }

    private func carry(_ from: HTTP2Session, _ to: HTTP2Session, _ out: inout Buffer) throws(BrokenLaw) -> Bool {
        from.write(into: &out)
        try hold(!out.isEmpty || !from.wantsWrite, "a session wants to write and does not")
        let piece = Self.take(&out, max(size, out.count / 8))
        guard !piece.isEmpty else { return false }
        try hold(to.receive(piece.span, nowMicroseconds: 1), "a session refuses the other's bytes")
        try deliver()
        return true
    }

    private static func take(_ buffer: inout Buffer, _ most: Int) -> [UInt8] {
        let bytes = copy(buffer, first: most)
        buffer.consume(bytes.count)
        buffer.releaseIfEmpty()
        return bytes
    }

    private func deliver() throws(BrokenLaw) {
        while let stream = client.takeNews() {
            guard let exchange = exchanges.first(where: { $0.near.stream === stream }) else { continue }
            exchange.near.told(stream.readiness)
        }
        while let stream = server.takeNews() {
            if let exchange = exchanges.first(where: { $0.far.stream === stream }) {
                exchange.far.told(stream.readiness)
            } else {
                // Streams open in the order their heads were written.
                let id = stream.id
                guard let exchange = exchanges.first(where: { $0.near.stream?.id == id }) else {
                    throw BrokenLaw(law: "a stream that nobody opened")
                }
                exchange.far.stream = stream
                exchange.far.told(.readable)
            }
        }
    }
}

/// One exchange, with a socket at each end.
final class Exchanged {
    private(set) var near: SocketEnd
    private(set) var far: SocketEnd

    init(_ request: Sending, _ response: Sending) {
        near = SocketEnd(request)
        far = SocketEnd(response, closesEarly: true)
    }

    func open(_ client: HTTP2Session) -> Bool {
        guard near.stream == nil, !near.isDone, let stream = client.open()?.object else { return false }
        near.stream = stream
        return true
    }

    func act(_ choice: UInt8, _ amount: Int, _ pool: BufferPool) throws(BrokenLaw) -> Bool {
        switch choice {
        case 3, 7: try near.send(amount)
        case 4: try far.send(amount)
        case 5: try near.receive(pool)
        default: try far.receive(pool)
        }
    }

    func judge() throws(BrokenLaw) {
        try hold(near.isDone && far.isDone, "an exchange waits for ever: \(near.state), \(far.state)")
        try near.sending.judge(far)
        try far.sending.judge(near)
        near.close()
    }
}

/// A socket that a stream carries: it reads and writes only when it was told that it may.
final class SocketEnd {
    let sending: Sending
    var stream: HTTP2Stream?
    private(set) var received: [UInt8] = []
    private(set) var trailers: [UInt8] = []
    private(set) var endedWithHead = false
    private(set) var isDone = false
    private var mayRead = false
    private var mayWrite = true
    private var hasRead = false
    private var hasSent = false
    private var sentCount = 0

    private let closesEarly: Bool

    /// - Parameter closesEarly: as soon as both directions have ended, even if the end is still to be written.
    init(_ sending: Sending, closesEarly: Bool = false) {
        self.sending = sending
        self.closesEarly = closesEarly
    }

    var state: String { "sent \(sentCount) \(hasSent), received \(received.count) \(hasRead)" }

    func told(_ readiness: Readiness) {
        if readiness.contains(.readable) { mayRead = true }
        if readiness.contains(.writable) { mayWrite = true }
    }

    /// - Returns: whether anything moved.
    func send(_ most: Int) throws(BrokenLaw) -> Bool {
        guard let stream, mayWrite, !hasSent else { return false }
        // A head goes in one piece, with or without bytes of the body.
        let least = sending.heads.first { $0 > sentCount }.map { $0 - sentCount } ?? 0
        let limit = sending.heads.dropLast().first { $0 > sentCount } ?? sending.bytes.count
        let piece = Array(sending.bytes[sentCount..<min(limit, sentCount + max(most, least))])
        if !piece.isEmpty {
            switch stream.send(piece.span) {
            case .sent(let count):
                try hold(count >= least && count <= piece.count, "a head is sent in part")
                sentCount += count
                guard count < piece.count else { break }
                (mayWrite, _) = (false, stream.awaitWritable())
                return true
            case .wouldBlock:
                mayWrite = false
                stream.awaitWritable()
                return false
            case .failed(let code): throw BrokenLaw(law: "a good stream does not send: \(code)")
            }
        }
        guard sentCount == sending.bytes.count else { return true }
        let lines = sending.trailers
        if !lines.isEmpty { stream.sendTrailers(lines.span) }
        stream.shutdownWrite()
        hasSent = true
        finish()
        return true
    }

    func receive(_ pool: BufferPool) throws(BrokenLaw) -> Bool {
        guard let stream, mayRead, !hasRead else { return false }
        var buffer = Buffer(pool: pool)
        let outcome = stream.receive(into: &buffer)
        mayRead = stream.hasNews
        switch outcome {
        case .bytes: received += copy(buffer)
        case .endOfStream:
            hasRead = true
            endedWithHead = stream.endedWithHead
            var lines: [UInt8] = []
            stream.readTrailers { lines = copy($0) }
            trailers = lines
            finish()
        case .wouldBlock: break
        case .full: throw BrokenLaw(law: "an empty buffer is full")
        case .failed(let code):
            throw BrokenLaw(law: "a good stream fails: \(code), \(stream.resetCode as Any), \(state)")
        }
        return true
    }

    private func finish() {
        guard hasSent, hasRead else { return }
        isDone = true
        if closesEarly { close() }
    }

    func close() {
        stream?.close(isCut: false)
        stream = nil
    }
}
