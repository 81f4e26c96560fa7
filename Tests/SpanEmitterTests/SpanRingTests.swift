// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import SpanEmitter

@Suite("The ring between a worker and the reporter")
struct SpanRingTests {
    @Test("The reporter is called while three quarters of the ring are left for the time it takes to come")
    func callsEarly() {
        let ring = SpanRing(capacity: 1024)
        var calls: [Int] = []
        for number in 1...1024 where ring.push(SpanRecord()) { calls.append(number) }
        #expect(calls == [256])
        #expect(ring.droppedCount == 0)
        #expect(ring.drain(limit: 2000) { _ in } == 1024)
        for number in 1...256 where ring.push(SpanRecord()) { calls.append(number) }
        #expect(calls == [256, 256])
    }

    @Test("A full ring counts what it refuses, and takes spans again once drained")
    func full() {
        let ring = SpanRing(capacity: 4)
        for _ in 0..<7 { ring.push(SpanRecord()) }
        #expect(ring.pushedCount == 4 && ring.droppedCount == 3)
        #expect(ring.drain(limit: 10) { _ in } == 4)
        ring.push(SpanRecord())
        #expect(ring.pushedCount == 5 && ring.droppedCount == 3)
    }
}
