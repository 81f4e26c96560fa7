// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import Testing

@testable import PropagatingProxy

@Suite("A body on its way through (RFC 9112 §§6–7)")
struct BodyRelayTests {
    /// Feeds `text` in pieces of `size` bytes, as a socket would; answers what comes out and whether it ended.
    private func relay(
        _ text: String, _ framing: BodyFraming, writesChunks: Bool, size: Int
    ) throws -> (out: String, relay: BodyRelay) {
        let pool = BufferPool(limit: 4)
        var input = Buffer(pool: pool)
        var output = Buffer(pool: pool)
        var relay = BodyRelay(framing, to: writesChunks ? .chunks : .plain)
        var collected: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty, !relay.isComplete {
            _ = input.append(copying: Array(rest.prefix(size)).span)
            rest = rest.dropFirst(size)
            if let count = relay.verbatimCount(of: input.count) {
                collected += bytes(of: input, first: count)
                relay.passed(count)
                input.consume(count)
            } else {
                let used = try reframe(&relay, input, &output)
                input.consume(used)
                collected += bytes(of: output, first: output.count)
                output.consume(output.count)
            }
        }
        return (String(decoding: collected, as: UTF8.self), relay)
    }

    private func reframe(_ relay: inout BodyRelay, _ input: borrowing Buffer, _ output: inout Buffer) throws -> Int {
        try relay.reframe(input.readable, into: &output)
    }

    private func bytes(of buffer: borrowing Buffer, first count: Int) -> [UInt8] {
        let span = buffer.readable
        return (0..<count).map { span[$0] }
    }

    @Test("A body of known length passes unchanged, and nothing behind it", arguments: [1, 2, 3, 64])
    func length(size: Int) throws {
        let result = try relay("helloGET / HTTP/1.1", .length(5), writesChunks: false, size: size)
        #expect(result.out == "hello")
        #expect(result.relay.isComplete)
        #expect(result.relay.byteCount == 5)
    }

    @Test("Chunks are written anew, extensions are dropped and trailers kept", arguments: [1, 2, 7, 4096])
    func chunked(size: Int) throws {
        let text = "5;x=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"
        let result = try relay(text, .chunked, writesChunks: true, size: size)
        #expect(result.relay.isComplete)
        #expect(result.relay.byteCount == 11)
        #expect(result.out.hasSuffix("0\r\nX-Sum: 1\r\n\r\n"))
        #expect(!result.out.contains("x=1"))
        let again = try relay(result.out, .chunked, writesChunks: false, size: 4096)
        #expect(again.out == "hello world")
    }

    @Test("Trace fields and request ids do not pass in trailers, the others do", arguments: [1, 9, 4096])
    func trailersWithoutTrace(size: Int) throws {
        let lines = [
            "X-Sum: 1", "X-B3-TraceId: 463ac35c9f6413ad", "b3: 1", "Y: b3: 1", "TraceParent: x", "tracestate: a=b",
            "X-Request-Id: 1", "X-B3-Flags: 1", "X-B3-Sampled:1", "Z:",
        ]
        let text = "1\r\nx\r\n0\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n"
        let result = try relay(text, .chunked, writesChunks: true, size: size)
        #expect(result.out == "1\r\nx\r\n0\r\nX-Sum: 1\r\nY: b3: 1\r\nZ:\r\n\r\n")
    }

    @Test("Trailers of a stream that could pass for a head's fields do not go on")
    func trailersOfStream() {
        let lines = "Content-Length: 99\r\nx-sum: 1\r\nhost: a\r\ncookie: b\r\nx-forwarded-for: c\r\nte: d\r\n"
        var relay = BodyRelay(.untilClose, to: .chunks)
        var output = Buffer(pool: BufferPool(limit: 1))
        let isWhole = relay.sourceClosed(trailers: Array(lines.utf8).span, into: &output)
        #expect(isWhole)
        #expect(String(decoding: bytes(of: output, first: output.count), as: UTF8.self) == "0\r\nx-sum: 1\r\n\r\n")
    }

    @Test("A receiver without chunks gets the bare body", arguments: [1, 5, 4096])
    func dechunked(size: Int) throws {
        let result = try relay("5\r\nhello\r\n0\r\n\r\n", .chunked, writesChunks: false, size: size)
        #expect(result.out == "hello")
        #expect(result.relay.isComplete)
    }

    @Test("A body that ends with its connection is whole only then")
    func untilClose() throws {
        var result = try relay("hello", .untilClose, writesChunks: true, size: 3)
        #expect(!result.relay.isComplete)
        var output = Buffer(pool: BufferPool(limit: 1))
        let isWhole = result.relay.sourceClosed(into: &output)
        #expect(isWhole)
        #expect(result.relay.isComplete)
        #expect(result.out == "3\r\nhel\r\n2\r\nlo\r\n")
        #expect(String(decoding: bytes(of: output, first: output.count), as: UTF8.self) == "0\r\n\r\n")
    }

    @Test("A body cut short is never called whole", arguments: [BodyFraming.length(9), .chunked])
    func cut(framing: BodyFraming) throws {
        var result = try relay("5\r\nhel", framing, writesChunks: framing == .chunked, size: 64)
        var output = Buffer(pool: BufferPool(limit: 1))
        let isWhole = result.relay.sourceClosed(into: &output)
        #expect(!isWhole)
        let left = output.count
        #expect(left == 0)
    }

    @Test("No body is complete at once", arguments: [BodyFraming.none, .length(0)])
    func none(framing: BodyFraming) {
        #expect(BodyRelay(framing, to: .plain).isComplete)
    }
}
