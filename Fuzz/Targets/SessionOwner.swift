// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2

/// What stands around a session in the product, `HTTP2Connection` and the sockets of its streams, with laws in place of
/// a kernel.
final class SessionOwner {
    /// A stream as its socket sees it.
    final class Held {
        let stream: HTTP2Stream
        var hasSentHead = false
        var hasEnded = false
        var hasFailed = false

        init(_ stream: HTTP2Stream) { self.stream = stream }

        var isOver: Bool { hasEnded || hasFailed }
    }

    let pool: BufferPool
    let session: HTTP2Session
    let isServer: Bool
    private(set) var held: [Held] = []
    /// Microseconds.
    var now: UInt64 = 1_000_000
    /// The session has refused to receive more.
    private(set) var isOver = false
    private var takesNew = true
    private var lastID: Int32 = 0
    private var out: Buffer
    private var frames: PlainFrames

    init(_ role: HTTP2Session.Role, _ limits: HTTP2Limits, _ pool: BufferPool, _ memory: SessionMemory?) throws {
        self.pool = pool
        session = try HTTP2Session(role, limits: limits, buffers: pool, memory: memory)
        isServer = role == .server
        out = Buffer(pool: pool)
        frames = PlainFrames(ofClient: role == .client)
    }

    // MARK: The connection

    func receive(_ bytes: ArraySlice<UInt8>, size: Int) throws(BrokenLaw) {
        var rest = bytes
        while !rest.isEmpty {
            let piece = Array(rest.prefix(size))
            rest = rest.dropFirst(size)
            let goesOn = session.receive(piece.span, nowMicroseconds: now)
            try hold(!goesOn || !isOver, "a session that was over takes bytes")
            isOver = !goesOn
            try deliver()
            if isOver { takesNew = false }
        }
        let bound = 5 * session.streamCount + 4
        try hold(pool.inUse <= bound, "\(pool.inUse) buffers for \(session.streamCount) streams")
    }

    /// Takes the news; each stream is told of once.
    func deliver() throws(BrokenLaw) {
        var told: Set<ObjectIdentifier> = []
        while let stream = session.takeNews() {
            try hold(told.insert(ObjectIdentifier(stream)).inserted, "the same news twice")
            guard !held.contains(where: { $0.stream === stream }) else { continue }
            try hold(isServer && stream.isNew, "news of a stream that nobody has")
            try hold(takesNew, "a stream is opened after the end")
            try hold(stream.id > lastID && stream.id & 1 == 1, "stream \(stream.id) comes after \(lastID)")
            lastID = stream.id
            held.append(Held(stream))
        }
        try hold(session.streamCount >= held.count, "\(session.streamCount) streams, \(held.count) in use")
    }

    func open() {
        guard let stream = session.open()?.object else { return }
        held.append(Held(stream))
    }

    /// One send: what is due, of which the kernel takes so many bytes.
    func write(taking count: Int) throws(BrokenLaw) {
        let (before, refused) = (out.count, pool.refusedCount)
        session.write(into: &out)
        if before == 0, out.isEmpty, pool.refusedCount == refused {
            try hold(!session.wantsWrite, "a session wants to write and does not")
        }
        let taken = min(count, out.count)
        try frames.read(copy(out, first: taken))
        try hold(frames.lastStream >= UInt32(lastID), "a stream is looked at that GOAWAY says is not")
        out.consume(taken)
        out.releaseIfEmpty()
        try deliver()
    }

    /// Until nothing is left.
    func writeAll() throws(BrokenLaw) {
        for _ in 0..<2000 {
            let refused = pool.refusedCount
            try write(taking: .max)
            if !session.wantsWrite || pool.refusedCount > refused { return }
        }
        throw BrokenLaw(law: "a session never ends to write")
    }

    // MARK: Streams

    func take(_ index: Int, at most: Int) throws(BrokenLaw) {
        var buffer = Buffer(pool: pool)
        for _ in 0..<most {
            let before = buffer.count
            switch held[index].stream.receive(into: &buffer) {
            case .bytes(let count):
                try hold(!held[index].isOver, "bytes behind the end of a stream")
                try hold(count > 0 && buffer.count == before + count, "a stream that counts wrong")
            case .endOfStream:
                try hold(!held[index].hasFailed, "a stream that has failed ends well")
                held[index].hasEnded = true
                return
            case .failed:
                held[index].hasFailed = true
                return
            case .wouldBlock:
                try hold(!held[index].isOver, "a stream that has ended has more to come")
                return
            case .full: return
            }
        }
    }

    func close(_ index: Int, isCut: Bool) {
        held.remove(at: index).stream.close(isCut: isCut)
    }

    /// Answers every request whose head is here, as a hasty server would.
    func answer(body: [UInt8]) throws(BrokenLaw) {
        for index in held.indices.reversed() {
            try take(index, at: 16)
            if isServer, !held[index].hasSentHead, !held[index].hasFailed {
                held[index].hasSentHead = true
                _ = held[index].stream.send(Array("HTTP/1.1 200 OK\r\nx-a: b\r\n\r\n".utf8).span)
                _ = held[index].stream.send(body.span)
                held[index].stream.shutdownWrite()
            }
            if held[index].isOver { close(index, isCut: held[index].hasFailed) }
        }
    }

    // MARK: The end

    /// Writes what is left, then loses the connection: every stream ends, and nothing is left behind.
    func finish() throws(BrokenLaw) {
        let refused = pool.refusedCount
        try writeAll()
        if isOver, pool.refusedCount == refused, out.isEmpty {
            try hold(frames.goAwayCount > 0 && !frames.isCut, "a session ends without a word")
        }
        session.connectionLost()
        try hold(!session.wantsWrite && session.isFinished, "a lost session goes on")
        try deliver()
        for index in held.indices.reversed() {
            try take(index, at: 64)
            try hold(held[index].isOver, "a stream of a lost connection goes on")
            close(index, isCut: false)
        }
        try hold(session.streamCount == 0, "\(session.streamCount) streams are left")
        let counts = session.counts
        var sum: UInt64 = 0
        for limit in HTTP2Limit.allCases { sum += counts[limit.rawValue] }
        try hold(sum == UInt64(session.limitsReached), "limits reached: \(sum), told: \(session.limitsReached)")
        out.release()
    }
}
