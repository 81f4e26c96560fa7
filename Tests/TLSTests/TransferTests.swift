// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Glibc
import TLS
import TestSupport
import Testing

@Suite("Bytes through a TLS connection")
struct TransferTests {
    private func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }

    private func established(isRelayed: Bool = false) throws -> Line {
        let line = try Line(client: Loaded.client(), server: Loaded.server("server-ecdsa"), isRelayed: isRelayed)
        #expect(
            line.run {
                if isRelayed { _ = line.carry(4096) }
                return line.client.progress != .waiting && line.server.progress != .waiting
            })
        return line
    }

    @Test(
        "Arrive whole and in order, both ways, whatever their number", arguments: [1, 2, 16384, 16385, 70_000, 5 << 20])
    func sizes(_ count: Int) throws {
        let line = try established()
        let bytes = pattern(count)
        line.client.say(bytes)
        line.server.say(bytes.reversed())
        try #require(line.run { line.server.read.count >= count && line.client.read.count >= count })
        let (isWholeThere, isWholeHere) = (line.server.read == bytes, line.client.read == bytes.reversed())
        #expect(isWholeThere && isWholeHere)
        #expect(line.client.isAllSent && line.server.isAllSent)
    }

    @Test("Arrive whole when the network brings them one by one, from the first byte of the handshake on")
    func byteByByte() throws {
        let line = try Line(client: Loaded.client(), server: Loaded.server("server-ecdsa"), isRelayed: true)
        line.client.say(pattern(300))
        line.server.say(pattern(200))
        line.run {
            _ = line.carry(1)
            return line.server.read.count == 300 && line.client.read.count == 200
        }
        #expect(line.server.read == pattern(300))
        #expect(line.client.read == pattern(200))
    }

    @Test("Count as sent only when the kernel has them")
    func backpressure() throws {
        let line = try established(isRelayed: true)
        let bytes = pattern(4 << 20)
        line.client.say(bytes)
        for _ in 0..<100 { line.loop.runOnce() }
        #expect(!line.client.isAllSent)  // nobody reads
        line.run {
            _ = line.carry(1 << 16)
            return line.server.read.count == bytes.count
        }
        #expect(line.server.read == bytes)
        #expect(line.client.isAllSent)
    }

    @Test("End with the sender's word, and are known as cut without it")
    func ends() throws {
        let whole = try established()
        whole.client.say(pattern(10))
        whole.run { whole.client.isAllSent }
        whole.client.close()
        whole.run { whole.server.end != nil }
        #expect(whole.server.read == pattern(10))
        #expect(whole.server.end == .endOfStream)

        let cut = try established()
        cut.run { cut.client.session.takeTicket() != nil }  // unread bytes would make a reset of the close
        cut.client.say(pattern(10))
        cut.run { cut.client.isAllSent }
        cut.client.reset()
        cut.run { cut.server.end != nil }
        #expect(cut.server.read == pattern(10))
        #expect(cut.server.end == .failed(errno: ECONNRESET))
        #expect(cut.server.session.failure == .truncated)
    }

    @Test("A look at a quiet connection finds nothing, though tickets have come; then what came")
    func peeking() throws {
        let line = try established()
        line.client.readsAtAll = false
        for _ in 0..<5 { line.loop.runOnce() }
        #expect(line.client.peek() == .nothing)
        #expect(!line.client.mayRead)
        #expect(line.client.session.takeTicket() != nil)
        line.server.say([7])
        line.run { line.client.mayRead }
        #expect(line.client.peek() == .bytes)
        line.client.readsAtAll = true
        line.client.goOn()
        #expect(line.client.read == [7])
        line.server.close()
        line.run { line.client.end != nil }
        #expect(line.client.end == .endOfStream)
    }

    @Test("A ticket goes with the first answer if the request came with the handshake's end, and at once if not")
    func tickets() throws {
        let line = try Line(client: Loaded.client(), server: Loaded.server("server-ecdsa"), isRelayed: true)
        line.client.say(pattern(100))
        line.server.say(pattern(50))
        // What the client says last arrives in one piece.
        #expect(
            line.run {
                if line.client.progress == .waiting || line.client.isAllSent { _ = line.carry(1 << 16) }
                return line.client.read.count == 50 && line.server.read.count == 100
            })
        #expect(line.client.session.takeTicket() != nil)
        #expect(line.client.read == pattern(50))

        let quiet = try established()
        #expect(quiet.run { quiet.client.session.takeTicket() != nil })
    }

    @Test("Cost no memory while nothing is under way")
    func memory() throws {
        let line = try established()
        line.client.say(pattern(100_000))
        line.run { line.server.read.count == 100_000 }
        #expect(line.pool.inUse == 0)
    }

    @Test("What is no TLS is seen by its first byte and given back unread; a hello without end is refused")
    func strangers() throws {
        for (bytes, failure) in [
            (Array("GET / HTTP/1.1\r\n".utf8), TLSFailure.notTLS),
            ([0x16, 3, 1, 0x40, 0, 1, 0, 0x3F, 0xFC] + [UInt8](repeating: 3, count: 16380), .helloTooLarge),
        ] {
            let loop = try EventLoop()
            let pool = BufferPool(limit: 10)
            var numbers: [CInt] = [-1, -1]
            _ = socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0, &numbers)
            let session = try #require(try Loaded.server("server").session(buffers: pool))
            let end = End(numbers[0], session, pool: pool, on: loop)
            _ = bytes.withUnsafeBytes { send(numbers[1], $0.baseAddress, $0.count, 0) }
            for _ in 0..<1000 where end.progress == .waiting { loop.runOnce() }
            #expect(end.progress == .failed(failure))
            if failure == .notTLS {
                var given = Buffer(pool: pool)
                session.takeReceived(&given)
                #expect(given.count == bytes.count)
            }
            end.close()
            close(numbers[1])
        }
    }
}
