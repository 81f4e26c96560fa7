// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Glibc
import Testing

@testable import HTTP2

@Suite("How HTTP/2 connections begin and end (RFC 9113 §3, §5, §6.8)")
struct SessionTests {
    @Test("Settings are exchanged and acknowledged; the connection's window is 1 MiB, a stream's 65,535")
    func settings() throws {
        let pair = try Pair()
        #expect(pair.client.wantsWrite && pair.server.wantsWrite)
        pair.carry()
        #expect(pair.client.hasPeerSettings && pair.server.hasPeerSettings)
        #expect(pair.client.isSettingsAcknowledged && pair.server.isSettingsAcknowledged)
        #expect(pair.client.peerConcurrentStreams == 100)
        #expect(!pair.client.wantsWrite && !pair.client.isFinished && pair.pool.inUse == 0)
        let peer = try RawPeer(acknowledges: false)
        let fresh = try HTTP2Session(.server, limits: HTTP2Limits(), buffers: peer.pool)
        var out = Buffer(pool: peer.pool)
        fresh.write(into: &out)
        let bytes = array(out.readable)
        // MAX_CONCURRENT_STREAMS 100, INITIAL_WINDOW_SIZE 65,535, MAX_HEADER_LIST_SIZE 65,536.
        #expect(bytes[9..<27] == [0, 3, 0, 0, 0, 100, 0, 4, 0, 0, 255, 255, 0, 6, 0, 1, 0, 0])
        #expect(bytes[27...] == [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 15, 0, 1])
    }

    @Test("What is no preface ends the connection")
    func badPreface() throws {
        let pool = BufferPool(limit: 10)
        let session = try HTTP2Session(.server, limits: HTTP2Limits(), buffers: pool)
        #expect(!session.take(Array("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".utf8)))
        var out = Buffer(pool: pool)
        session.write(into: &out)
        #expect(!out.isEmpty && session.isFinished)
    }

    @Test("Bytes may come one by one")
    func byteByByte() throws {
        let pool = BufferPool(limit: 10)
        let session = try HTTP2Session(.server, limits: HTTP2Limits(), buffers: pool)
        let bytes =
            Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + Frame(.settings).bytes
            + Frame.request(1, [("x-a", "b")], method: "POST", flags: 4).bytes
            + Frame(.data, flags: 1, stream: 1, Array("hello".utf8)).bytes
        for byte in bytes { #expect(session.take([byte])) }
        let stream = try #require(session.takeNews())
        #expect(
            stream.readAll(pool)
                == Received(text: "POST / HTTP/1.1\r\nhost: a.test\r\nx-a: b\r\n\r\nhello", isEnded: true))
    }

    @Test("A peer's limit on streams is kept, and one that ends makes room for the next")
    func concurrency() throws {
        var limits = HTTP2Limits()
        limits.concurrentStreams = 2
        let pair = try Pair(server: limits)
        pair.carry()
        let (first, arrived) = try pair.exchange(get)
        _ = try pair.exchange(get)
        #expect(!pair.client.mayOpen && pair.client.open()?.object == nil)
        _ = arrived.send(text: ok)
        arrived.shutdownWrite()
        pair.carry()
        #expect(first.readAll(pair.pool).isEnded)
        #expect(pair.client.mayOpen)
    }

    @Test("A limit lowered while requests are on their way delays them, and they are sent in the end")
    func loweredConcurrency() throws {
        var limits = HTTP2Limits()
        limits.concurrentStreams = 1
        let pair = try Pair(server: limits)
        // The client does not know the limit of 1 yet.
        let streams = try (0..<3).map { _ in try #require(pair.client.open()?.object) }
        _ = pair.carryToClient()
        for stream in streams {
            _ = stream.send(text: get)
            stream.shutdownWrite()
        }
        for _ in 0..<3 {
            pair.carry()
            let arrived = try #require(pair.server.takeNews())
            _ = arrived.send(text: ok)
            arrived.shutdownWrite()
            arrived.close(isCut: false)
        }
        pair.carry()
        for stream in streams { #expect(stream.readAll(pair.pool).isEnded) }
    }

    @Test("A graceful end: announced, then final; what came before is answered, what comes after was not looked at")
    func goAway() throws {
        let pair = try Pair()
        let (first, arrived) = try pair.exchange(get)
        pair.server.announceGoAway()
        _ = pair.carryToClient()
        #expect(pair.client.goAwayReceived == .noError && !pair.client.mayOpen)
        pair.server.goAway(.noError)
        pair.carry()
        #expect(!pair.server.isFinished, "one request is still to be answered")
        _ = arrived.send(text: ok)
        arrived.shutdownWrite()
        pair.carry()
        #expect(first.readAll(pair.pool) == Received(text: okReceived, isEnded: true))
        #expect(pair.server.isFinished && pair.client.isFinished)
    }

    @Test("Requests above the last id of a GOAWAY were not looked at, those below are unharmed")
    func goAwayAbove() throws {
        let pair = try Pair()
        let (first, arrived) = try pair.exchange(get)
        pair.server.goAway(.noError)
        let second = try #require(pair.client.open()?.object)
        _ = second.send(text: get)
        second.shutdownWrite()
        _ = pair.carryToServer()
        pair.carry()
        #expect(second.isUnprocessed && second.readAll(pair.pool).failure == ECONNRESET)
        #expect(!first.isUnprocessed && first.failure == 0)
        _ = arrived.send(text: ok)
        arrived.shutdownWrite()
        pair.carry()
        #expect(first.readAll(pair.pool).isEnded)
    }

    @Test("A request that comes while our GOAWAY waits to be written is refused: its caller sends it elsewhere")
    func requestBehindGoAway() throws {
        let pair = try Pair()
        _ = try pair.exchange(get)
        pair.server.goAway(.noError)
        let late = try #require(pair.client.open()?.object)
        _ = late.send(text: get)
        late.shutdownWrite()
        pair.carry()
        #expect(pair.server.takeNews() == nil)
        #expect(late.isUnprocessed && late.readAll(pair.pool).failure == ECONNRESET)
        #expect(pair.server.limitsReached == 0)
    }

    @Test("A request that waited when a GOAWAY came was never sent")
    func goAwayBeforeSending() throws {
        let pair = try Pair()
        _ = try pair.exchange(get)
        let late = try #require(pair.client.open()?.object)
        _ = late.send(text: get)
        pair.server.goAway(.noError)
        _ = pair.carryToClient()
        pair.carry()
        #expect(late.isUnprocessed && late.failure == ECONNRESET)
        late.close(isCut: true)
        #expect(pair.client.streamCount == 1)
    }

    @Test("REFUSED_STREAM says that the request was not looked at, another code does not")
    func refused() throws {
        let pair = try Pair()
        for (code, isUnprocessed) in [(HTTP2ErrorCode.refusedStream, true), (.internalError, false)] {
            let (opened, arrived) = try pair.exchange(get)
            arrived.reset(code)
            pair.carry()
            #expect(opened.resetCode == code && opened.isUnprocessed == isUnprocessed)
            #expect(opened.failure == ECONNRESET)
            opened.close(isCut: false)
            arrived.close(isCut: true)
            pair.carry()
        }
        #expect(pair.client.streamCount == 0 && pair.server.streamCount == 0)
    }

    @Test("A lost connection fails every stream, and says which requests never left")
    func lost() throws {
        let pair = try Pair()
        let (sent, arrived) = try pair.exchange(post, end: false)
        let waiting = try #require(pair.client.open()?.object)
        _ = waiting.send(text: get)
        pair.client.connectionLost()
        pair.server.connectionLost()
        #expect(pair.client.takeNews() === sent)
        #expect(pair.client.takeNews() === waiting)
        #expect(!sent.isUnprocessed && waiting.isUnprocessed)
        for stream in [sent, waiting, arrived] {
            #expect(stream.send(text: "more") == .failed(errno: ECONNRESET))
            #expect(stream.readAll(pair.pool).failure == ECONNRESET)
            stream.close(isCut: true)
        }
        #expect(pair.client.streamCount == 0 && pair.server.streamCount == 0 && pair.pool.inUse == 0)
        #expect(pair.client.isFinished && !pair.client.wantsWrite && !pair.client.mayOpen)
    }

    @Test("A session and its streams are freed together")
    func freed() throws {
        weak var client: HTTP2Session?
        weak var stream: HTTP2Stream?
        do {
            let pair = try Pair()
            let (opened, _) = try pair.exchange(get)
            (client, stream) = (pair.client, opened)
            pair.client.connectionLost()
            pair.server.connectionLost()
            opened.close(isCut: true)
        }
        #expect(client == nil && stream == nil)
    }

    @Test("A stream outlives its session, and has nothing more to say")
    func orphan() throws {
        let stream: HTTP2Stream
        weak var client: HTTP2Session?
        do {
            let pair = try Pair()
            stream = try pair.exchange(post, end: false).client
            client = pair.client
        }
        #expect(client == nil)
        #expect(stream.send(text: "more") == .failed(errno: EPIPE))
        stream.sendTrailers(Array("x: y\r\n".utf8).span)
        stream.shutdownWrite()
        stream.reset(.cancel)
        stream.close(isCut: true)
    }

    @Test("The owner hears once that there is something to write, until it has written")
    func dirty() throws {
        let pair = try Pair()
        pair.carry()
        var count = 0
        pair.client.onDirty = { count += 1 }
        let opened = try #require(pair.client.open()?.object)
        _ = opened.send(text: post)
        _ = opened.send(text: "more")
        opened.shutdownWrite()
        #expect(count == 1)
        pair.carry()
        opened.reset(.cancel)
        #expect(count == 2)
    }

    @Test("One turn's requests leave in one write")
    func oneWrite() throws {
        let pair = try Pair()
        pair.carry()
        for _ in 0..<10 {
            let opened = try #require(pair.client.open()?.object)
            _ = opened.send(text: post + "body")
            opened.shutdownWrite()
        }
        _ = pair.written(by: pair.client)
        #expect(!pair.client.wantsWrite)
    }

    @Test("A write into little room goes on where it ended")
    func littleRoom() throws {
        let pair = try Pair()
        let (opened, arrived) = try pair.exchange(post, end: false)
        _ = arrived.readAll(pair.pool)
        let text = String(repeating: "0123456789", count: 1600)
        #expect(opened.send(text: text) == .sent(16_000))
        opened.shutdownWrite()
        var bytes: [UInt8] = []
        for _ in 0..<100 where pair.client.wantsWrite {
            var out = Buffer(pool: pair.pool)
            _ = out.append(copying: [UInt8](repeating: 0, count: 65_536 - 1500).span)
            pair.client.write(into: &out)
            bytes += array(out.readable).dropFirst(65_536 - 1500)
        }
        #expect(pair.server.take(bytes))
        #expect(arrived.readAll(pair.pool) == Received(text: text, isEnded: true))
    }

    @Test("Bytes of padding and of a stream nobody reads are given back to the connection's window")
    func padding() throws {
        let peer = try RawPeer()
        peer.send(Frame.request(1, method: "POST", flags: 4))
        peer.arrived.first?.close(isCut: true)
        peer.read()
        peer.send(Frame.request(3, method: "POST", flags: 4))
        for _ in 0..<100 {
            peer.send(Frame(.data, stream: 1, Array(repeating: 0, count: 16_000)))
            peer.send(Frame(.data, flags: 8, stream: 3, [255] + Array(repeating: 0, count: 255)))
        }
        #expect(!peer.isOver)
        #expect(peer.frames.contains { $0.kind == .windowUpdate && $0.stream == 0 })
    }

    @Test("DATA beyond the window it was given ends a stream or the connection")
    func beyondWindow() throws {
        let peer = try RawPeer()
        peer.send(Frame.request(1, method: "POST", flags: 4))
        for _ in 0..<5 { peer.send(Frame(.data, stream: 1, Array(repeating: 0, count: 16_384))) }
        #expect(peer.reset(of: 1) == .flowControlError || peer.goAway == .flowControlError)
        #expect(peer.pool.inUse == 0 || peer.isOver)
    }

    @Test("Heads that have no body may say a length (RFC 9110 §8.6)", arguments: ["HEAD", "GET"])
    func lengthWithoutBody(_ method: String) throws {
        let pair = try Pair()
        let (opened, arrived) = try pair.exchange("\(method) / HTTP/1.1\r\nhost: a\r\n\r\n")
        let status = method == "HEAD" ? "200" : "304"
        _ = arrived.send(text: "HTTP/1.1 \(status) OK\r\ncontent-length: 1000\r\n\r\n")
        arrived.shutdownWrite()
        pair.carry()
        #expect(opened.endedWithHead && opened.failure == 0)
    }
}
