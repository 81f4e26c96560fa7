// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import Testing

@testable import HTTP2

@Suite("A head that is sent with its lines")
struct SentLinesTests {
    @Test("It arrives as it would without them, whatever room its lines take", arguments: [0, 1, 15, 16, 17, 100, 200])
    func room(_ count: Int) throws {
        var limits = HTTP2Limits()
        limits.fieldCount = 300
        let pair = try Pair(client: limits)
        let (opened, arrived) = try pair.exchange(get)
        let outcome = arrived.sendHead { out, lines in
            out.write("HTTP/1.1 200 OK\r\n")
            for index in 0..<count {
                let start = out.count
                out.write("X-")
                out.write(decimal: UInt64(index))
                let name = out.count - start
                out.write(":  some \r\n")
                lines.append(.other, name: start, count: name, value: start + name + 3, count: 4)
            }
            let start = out.count
            out.write("Via: 1.1 us\r\n")
            lines.append(.via, from: start, to: out.count)
            out.write("\r\n")
            return true
        }
        #expect(outcome == .taken)
        arrived.shutdownWrite()
        pair.carry()
        let others = (0..<count).map { "x-\($0): some\r\n" }.joined()
        #expect(opened.readAll(pair.pool).text == "HTTP/1.1 200 \r\n\(others)via: 1.1 us\r\n\r\n")
    }

    @Test("Beyond the most lines there may be, the head is as one without them")
    func most() {
        var lines = SentLines()
        for index in 0..<256 { lines.append(.other, name: index, count: 1, value: index, count: 1) }
        lines.finish(headCount: 1000)
        #expect(lines.count == 256 && lines.headCount == 1000)
        lines.append(.other, name: 256, count: 1, value: 256, count: 1)
        lines.finish(headCount: 1000)
        #expect(lines.count == 256 && lines.headCount == 0 && lines[256] == nil)
        lines.removeAll()
        lines.append(.via, from: 10, to: 20)
        lines.finish(headCount: 20)
        #expect(lines.headCount == 20 && lines[0]?.valueStart == 15 && lines[0]?.valueCount == 3)
    }

    @Test("Lines that reach beyond the head are not sent", arguments: [(40, 10), (0, 100), (50, -20)])
    func beyond(_ value: Int, _ count: Int) throws {
        let pair = try Pair()
        let (opened, arrived) = try pair.exchange(get)
        _ = arrived.sendHead { out, lines in
            out.write("HTTP/1.1 200 OK\r\nx-a: b\r\n\r\n")
            lines.append(.via, name: 17, count: 3, value: value, count: count)
            return true
        }
        pair.carry()
        #expect(opened.readAll(pair.pool).failure != 0)
    }

    @Test("A message is taken whole when its end has come and nothing waits behind it, no trailers either")
    func takenWhole() throws {
        let pair = try Pair()
        let (opened, arrived) = try pair.exchange(get)
        _ = arrived.send(text: ok + "hello")
        pair.carry()
        var buffer = Buffer(pool: pair.pool)
        #expect(opened.receive(into: &buffer) == .bytes(okReceived.utf8.count + 5) && !opened.isTakenWhole)
        arrived.shutdownWrite()
        pair.carry()
        #expect(opened.isTakenWhole)
        let (other, answered) = try pair.exchange(get)
        _ = answered.send(text: ok + "hello")
        answered.shutdownWrite()
        pair.carry()
        #expect(!other.isTakenWhole)
        buffer.release()
        #expect(other.receive(into: &buffer) == .bytes(okReceived.utf8.count + 5) && other.isTakenWhole)
        let (third, trailed) = try pair.exchange(get)
        _ = trailed.send(text: ok + "hello")
        trailed.sendTrailers(Array("x-sum: 5\r\n".utf8).span)
        trailed.shutdownWrite()
        pair.carry()
        buffer.release()
        #expect(third.receive(into: &buffer) == .bytes(okReceived.utf8.count + 5) && !third.isTakenWhole)
    }
}
