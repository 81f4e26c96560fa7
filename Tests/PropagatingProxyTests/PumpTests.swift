// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Glibc
import HTTP1
import Testing

@testable import PropagatingProxy

@Suite("A body without memory to re-frame it in")
struct PumpTests {
    @Test("No byte of a body is used up when there is no buffer to write it into")
    func noBuffer() throws {
        var numbers: [CInt] = [-1, -1]
        #expect(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &numbers) == 0)
        defer { close(numbers[1]) }
        let sink = Socket(Descriptor(owning: numbers[0]), on: try EventLoop())
        let pool = BufferPool(limit: 1)
        var input = Buffer(pool: pool)
        var output = Buffer(pool: pool)
        let text = Array("5\r\nhello\r\n0\r\n\r\n".utf8)
        #expect(input.append(copying: text.span) == text.count)
        var relay = BodyRelay(.chunked, to: .chunks)
        var skipped = 0
        let outcome = Pump.run(
            &relay, from: &input, skipping: &skipped, retains: false, through: &output, to: sink)
        guard case .outOfBuffers = outcome else { return #expect(Bool(false), "\(outcome)") }
        #expect(input.count == text.count)
        #expect(relay.byteCount == 0)
    }

    @Test("A body whose last chunk cannot be written is not taken for whole")
    func noBufferForTheEnd() {
        var output = Buffer(pool: BufferPool(limit: 0))
        var relay = BodyRelay(.untilClose, to: .chunks)
        let isWhole = relay.sourceClosed(into: &output)
        #expect(!isWhole)
    }
}
