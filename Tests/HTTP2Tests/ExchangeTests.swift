// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Glibc
import Testing

@testable import HTTP2

@Suite("Requests and responses on HTTP/2 streams (RFC 9113 §8)")
struct ExchangeTests {
    @Test("A request without a body arrives as its HTTP/1.1 head, and ends with it")
    func head() throws {
        let pair = try Pair()
        let (_, arrived) = try pair.exchange(get)
        #expect(arrived.isNew && arrived.endedWithHead)
        #expect(arrived.readAll(pair.pool) == Received(text: gotten, isEnded: true))
    }

    @Test("A response's head, body, trailers and end arrive in order")
    func response() throws {
        let pair = try Pair()
        let (opened, arrived) = try pair.exchange(get)
        #expect(arrived.send(text: ok + "hello") == .sent(ok.utf8.count + 5))
        pair.carry()
        #expect(pair.client.takeNews() === opened)
        #expect(opened.readAll(pair.pool) == Received(text: okReceived + "hello"))
        arrived.sendTrailers(Array("grpc-status: 0\r\nGRPC-Message: fine\r\n".utf8).span)
        arrived.shutdownWrite()
        pair.carry()
        #expect(pair.client.takeNews() === opened)
        #expect(opened.readAll(pair.pool) == Received(isEnded: true))
        #expect(opened.trailerText == "grpc-status: 0\r\ngrpc-message: fine\r\n")
        #expect(!opened.endedWithHead)
    }

    @Test("A response that is a head and an end stays one HEADERS frame (Trailers-Only)")
    func trailersOnly() throws {
        let pair = try Pair()
        let (opened, arrived) = try pair.exchange(get)
        _ = arrived.send(text: "HTTP/1.1 200 OK\r\ngrpc-status: 12\r\n\r\n")
        arrived.shutdownWrite()
        pair.carry()
        #expect(opened.endedWithHead)
        #expect(opened.readAll(pair.pool).text == "HTTP/1.1 200 \r\ngrpc-status: 12\r\n\r\n")
    }

    @Test("A head and trailers without a body arrive as such")
    func headAndTrailers() throws {
        let pair = try Pair()
        let (opened, arrived) = try pair.exchange(get)
        _ = arrived.send(text: ok)
        arrived.sendTrailers(Array("grpc-status: 0\r\n".utf8).span)
        arrived.shutdownWrite()
        pair.carry()
        #expect(!opened.endedWithHead)
        #expect(opened.readAll(pair.pool) == Received(text: okReceived, isEnded: true))
        #expect(opened.trailerText == "grpc-status: 0\r\n")
    }

    @Test("A request's head and trailers without a body arrive as such")
    func requestHeadAndTrailers() throws {
        let pair = try Pair()
        let opened = try #require(pair.client.open()?.object)
        _ = opened.send(text: post)
        opened.sendTrailers(Array("x-sum: 0\r\n".utf8).span)
        opened.shutdownWrite()
        pair.carry()
        let arrived = try #require(pair.server.takeNews())
        #expect(arrived.readAll(pair.pool) == Received(text: post, isEnded: true))
        #expect(arrived.trailerText == "x-sum: 0\r\n")
    }

    @Test("Request trailers arrive, and both directions flow before either ends")
    func duplex() throws {
        let pair = try Pair()
        let (opened, arrived) = try pair.exchange(post, end: false)
        #expect(arrived.readAll(pair.pool).text == post)
        _ = arrived.send(text: ok)
        for round in 0..<5 {
            _ = opened.send(text: "ping \(round)")
            pair.carry()
            #expect(arrived.readAll(pair.pool).text == "ping \(round)")
            _ = arrived.send(text: "pong \(round)")
            pair.carry()
            #expect(opened.readAll(pair.pool).text.hasSuffix("pong \(round)"))
        }
        opened.sendTrailers(Array("x-sum: 5\r\n".utf8).span)
        opened.shutdownWrite()
        pair.carry()
        #expect(arrived.readAll(pair.pool).isEnded)
        #expect(arrived.trailerText == "x-sum: 5\r\n")
    }

    @Test("Interim heads come before the final one", arguments: ["100", "103"])
    func interim(_ status: String) throws {
        let pair = try Pair()
        let (opened, arrived) = try pair.exchange(post, end: false)
        _ = arrived.send(text: "HTTP/1.1 \(status) Wait\r\nlink: x\r\n\r\n")
        pair.carry()
        #expect(opened.readAll(pair.pool).text == "HTTP/1.1 \(status) \r\nlink: x\r\n\r\n")
        _ = arrived.send(text: ok)
        arrived.shutdownWrite()
        pair.carry()
        #expect(opened.endedWithHead)
        #expect(opened.readAll(pair.pool) == Received(text: okReceived, isEnded: true))
    }

    @Test("A body larger than every window arrives whole, and never more waits than the bounds say")
    func large() throws {
        let pair = try Pair()
        let (opened, arrived) = try pair.exchange(post, end: false)
        _ = arrived.readAll(pair.pool)
        let block = [UInt8]((0..<50_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        var left = 100 * block.count
        var sum = 0
        var received = 0
        var turns = 0
        while received < 100 * block.count, turns < 10_000 {
            turns += 1
            while left > 0 {
                let offset = (100 * block.count - left) % block.count
                guard case .sent(let count) = opened.send(block.span.extracting(offset..<block.count)) else { break }
                left -= count
                sum += count
            }
            #expect(opened.pending.count <= 65_536)
            pair.carry()
            var buffer = Buffer(pool: pair.pool)
            while case .bytes(let count) = arrived.receive(into: &buffer) {
                for index in buffer.readable.indices {
                    if buffer.readable[index] != block[(received + index) % block.count] {
                        Issue.record("byte \(received + index) is another one")
                        return
                    }
                }
                received += count
                buffer.release()
            }
            #expect(pair.pool.inUse <= 4)
        }
        #expect(received == 100 * block.count)
    }

    @Test("A reader that does not read stops its own stream and no other")
    func stalledReader() throws {
        let pair = try Pair()
        let (first, firstArrived) = try pair.exchange(post, end: false)
        let (second, secondArrived) = try pair.exchange(post, end: false)
        let block = [UInt8](repeating: 7, count: 16_384)
        var sent = 0
        while case .sent(let count) = first.send(block.span), sent < 1_000_000 {
            sent += count
            pair.carry()
        }
        #expect(sent <= 65_535 + 16_384 + 16_384)
        #expect(firstArrived.body.count <= 65_535)
        _ = second.send(text: "past it")
        pair.carry()
        #expect(secondArrived.readAll(pair.pool).text == post + "past it")
        // Room is told when there is some.
        first.awaitWritable()
        #expect(pair.client.takeNews() == nil)
        _ = firstArrived.readAll(pair.pool)
        _ = firstArrived.readAll(pair.pool)
        pair.carry()
        let told = try #require(pair.client.takeNews())
        #expect(told === first && told.readiness.contains(.writable))
    }

    @Test("Pieces of Cookie become one line, behind the others; empty ones are left out (RFC 9113 §8.2.3)")
    func cookies() throws {
        let pair = try Pair()
        let cookies = ["a=1\r\nx-b: c", "b=2", "", "c=3"].map { "cookie: \($0)\r\n" }.joined()
        let request = "GET / HTTP/1.1\r\nhost: a\r\n\(cookies)\r\n"
        let (_, arrived) = try pair.exchange(request)
        let expected = "GET / HTTP/1.1\r\nhost: a\r\nx-b: c\r\ncookie: a=1; b=2; c=3\r\n\r\n"
        #expect(arrived.readAll(pair.pool).text == expected)
    }

    @Test("Blanks around a value stay behind (RFC 9113 §8.2.1)")
    func blanks() throws {
        let pair = try Pair()
        let request = "GET / HTTP/1.1\r\nhost:\ta \r\nx-b: \t c\td\t \r\nx-e: \t \r\n\r\n"
        let (_, arrived) = try pair.exchange(request)
        #expect(arrived.readAll(pair.pool).text == "GET / HTTP/1.1\r\nhost: a\r\nx-b: c\td\r\nx-e: \r\n\r\n")
    }

    @Test("Fields of an HTTP/1.1 connection stay behind; of TE only trailers goes on (RFC 9113 §8.2.2)")
    func connectionFields() throws {
        let pair = try Pair()
        let request =
            "GET / HTTP/1.1\r\nX-First: 1\r\nConnection: close\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n"
            + "Transfer-Encoding: chunked\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nTE: gzip, trailers;q=1, Trailers\r\n"
            + "Host: a.test\r\n\r\n"
        let (_, arrived) = try pair.exchange(request)
        #expect(
            arrived.readAll(pair.pool).text == "GET / HTTP/1.1\r\nhost: a.test\r\nx-first: 1\r\nte: trailers\r\n\r\n")
    }

    @Test("A cancelled request fails at the other side at once, with its code")
    func cancel() throws {
        let pair = try Pair()
        let (opened, arrived) = try pair.exchange(post, end: false)
        _ = arrived.readAll(pair.pool)
        opened.close(isCut: false)
        pair.carry()
        #expect(pair.server.takeNews() === arrived)
        #expect(arrived.resetCode == .cancel)
        #expect(arrived.readAll(pair.pool).failure == ECONNRESET)
        arrived.close(isCut: true)
        pair.carry()
        #expect(pair.server.streamCount == 0 && pair.client.streamCount == 0)
        #expect(pair.pool.inUse == 0)
    }

    @Test("A cut response is reset with the code its socket chose, so that it cannot be taken for a whole one")
    func cut() throws {
        let pair = try Pair()
        let (opened, arrived) = try pair.exchange(get)
        _ = arrived.send(text: ok + "half")
        pair.carry()
        arrived.cutCode = .enhanceYourCalm
        arrived.close(isCut: true)
        pair.carry()
        #expect(opened.resetCode == .enhanceYourCalm)
        #expect(opened.readAll(pair.pool).failure == ECONNRESET)
    }

    @Test("A response that ends before its request is whole, and the rest of the request is refused by NO_ERROR")
    func earlyResponse() throws {
        let pair = try Pair()
        let (opened, arrived) = try pair.exchange(post, end: false)
        _ = arrived.send(text: ok + "done")
        arrived.shutdownWrite()
        arrived.close(isCut: false)
        pair.carry()
        #expect(opened.readAll(pair.pool) == Received(text: okReceived + "done", isEnded: true))
        #expect(opened.resetCode == .noError)
        #expect(opened.send(text: "more") == .failed(errno: EPIPE))
        opened.close(isCut: false)
        pair.carry()
        #expect(pair.client.streamCount == 0 && pair.server.streamCount == 0)
    }

    @Test("What a socket has sent before it closed still leaves, as the peer's windows let it")
    func linger() throws {
        let pair = try Pair()
        let (opened, arrived) = try pair.exchange(get)
        _ = arrived.send(text: ok)
        let block = [UInt8](repeating: 7, count: 100_000)
        var sent = 0
        while case .sent(let count) = arrived.send(block.span.extracting(droppingFirst: sent)), sent < block.count {
            sent += count
            pair.carry()
        }
        arrived.shutdownWrite()
        arrived.close(isCut: false)
        var received = 0
        for _ in 0..<10 {
            pair.carry()
            received += opened.readAll(pair.pool).text.utf8.count
        }
        #expect(received == sent + okReceived.utf8.count)
        #expect(opened.hasNews == false && pair.server.streamCount == 0)
    }

    @Test("A stream object serves one request after another, and holds no memory in between")
    func reuse() throws {
        let pair = try Pair()
        var identities: Set<ObjectIdentifier> = []
        for round in 0..<300 {
            let (opened, arrived) = try pair.exchange(get)
            #expect(arrived.id == Int32(2 * round + 1))
            identities.insert(ObjectIdentifier(arrived))
            _ = arrived.readAll(pair.pool)
            _ = arrived.send(text: ok + "\(round)")
            arrived.shutdownWrite()
            pair.carry()
            #expect(opened.readAll(pair.pool) == Received(text: okReceived + "\(round)", isEnded: true))
            arrived.close(isCut: false)
            opened.close(isCut: false)
            pair.carry()
            #expect(pair.pool.inUse == 0)
        }
        #expect(identities.count == 1)
        #expect(pair.client.streamCount == 0 && pair.server.streamCount == 0)
        #expect(!pair.clientIsOver && !pair.serverIsOver)
    }
}
