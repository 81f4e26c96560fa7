// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PropagatingProxy

@Suite("Messages of a gRPC call")
struct MessageCounterTests {
    private static func message(_ count: Int, flag: UInt8 = 0) -> [UInt8] {
        let prefix = [flag] + (0..<4).map { UInt8(truncatingIfNeeded: count >> (24 - 8 * $0)) }
        return prefix + [UInt8](repeating: 0xFF, count: count)
    }

    @Test(
        "Messages are counted however their bytes are cut, the flag notwithstanding",
        arguments: [1, 2, 3, 4, 5, 6, 7, 255, 256, 65_536, .max])
    func fragments(step: Int) {
        let bytes = [0, 1, 5, 255, 256, 70_000, 0, 0].enumerated().flatMap {
            Self.message($1, flag: $0 == 2 ? 1 : $0 == 3 ? 0xFF : 0)
        }
        var counter = MessageCounter()
        var start = 0
        while start < bytes.count {
            let end = start + min(step, bytes.count - start)
            counter.passed(bytes.span.extracting(start..<end), at: UInt64(end))
            start = end
        }
        #expect(counter.count == 8 && !counter.isInside && counter.byteCount == UInt64(bytes.count))
        #expect(counter.firstMicroseconds == UInt64(min(step <= 5 ? (5 + step - 1) / step * step : step, bytes.count)))
        #expect(counter.lastMicroseconds == UInt64(bytes.count))
    }

    @Test("A message counts when it is whole; one that is cut does not")
    func cut() {
        var counter = MessageCounter()
        let bytes = Self.message(3)
        counter.passed(bytes.span.extracting(droppingLast: 1), at: 10)
        #expect(counter.count == 0 && counter.isInside && counter.lastMicroseconds == 0)
        counter.passed(bytes.span.extracting(last: 1), at: 20)
        #expect(counter.count == 1 && !counter.isInside && counter.firstMicroseconds == 20)
        counter.passed(bytes.span.extracting(first: 1), at: 30)
        #expect(counter.count == 1 && counter.isInside && counter.lastMicroseconds == 20)
    }

    @Test("The clock is asked only when a message ends")
    func clock() {
        var asked = 0
        func now() -> UInt64 {
            asked += 1
            return 7
        }
        var counter = MessageCounter()
        let bytes = Self.message(1 << 16)
        for start in stride(from: 0, to: bytes.count, by: 4096) {
            counter.passed(bytes.span.extracting(start..<min(start + 4096, bytes.count)), at: now())
        }
        #expect(asked == 1 && counter.count == 1)
    }

    @Test("A length of four gigabytes is believed, and nothing but bytes that come is waited for")
    func huge() {
        var counter = MessageCounter()
        let bytes = [UInt8](repeating: 0xFF, count: 1 << 16)
        for _ in 0..<100 { counter.passed(bytes.span, at: 1) }
        #expect(counter.count == 0 && counter.isInside)
    }
}
