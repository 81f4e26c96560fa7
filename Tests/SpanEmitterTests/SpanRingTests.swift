// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import SpanEmitter

@Suite("The ring between a worker and the reporter")
struct SpanRingTests {
    @Test("The reporter is called while three quarters of the ring are left for the time it takes to come")
    func callsEarly() {
        let ring = SpanRing(capacity: 256)
        var calls: [Int] = []
        for number in 1...256 where ring.push() { calls.append(number) }
        #expect(calls == [64])
        #expect(ring.droppedCount == 0)
        #expect(ring.takeAll() == 256)
        for number in 1...64 where ring.push() { calls.append(number) }
        #expect(calls == [64, 64])
    }

    @Test("A large ring calls as soon, so that what is handed over is still in a cache")
    func callsAsEarly() {
        let ring = SpanRing(capacity: 8192)
        var calls: [Int] = []
        for number in 1...1024 where ring.push() { calls.append(number) }
        #expect(calls == [129])
        // Each time as many wait as before, and not sooner, wherever the ring begins.
        #expect(ring.takeAll() == 1024)
        for round in 1...20 {
            calls = []
            for number in 1...700 where ring.push() { calls.append(number) }
            #expect(calls == [129], "round \(round)")
            #expect(ring.takeAll() == 700)
            for _ in 1...round { ring.push() }
            #expect(ring.takeAll() == round)
        }
    }

    @Test("An empty ring begins again at its first slots, and records stay in order")
    func beginsAgain() {
        let ring = SpanRing(capacity: 256)
        var (pushed, drained): (UInt64, UInt64) = (0, 0)
        for round in 0..<2000 {
            for _ in 0..<round % 97 {
                var record = SpanRecord()
                pushed += 1
                record.requestBytes = pushed
                ring.push(&record)
            }
            // Now and then some stay behind.
            let records = ring.waiting(limit: round % 3 == 0 ? 40 : 1000).records
            ring.visit(records) { record in
                drained += 1
                #expect(record.requestBytes == drained)
            }
            ring.free(records)
        }
        #expect(ring.droppedCount == 0 && pushed - drained < 200)
    }

    @Test("A full ring counts what it refuses, and takes spans again once drained")
    func full() {
        let ring = SpanRing(capacity: 4)
        for _ in 0..<7 { ring.push() }
        #expect(ring.pushedCount == 4 && ring.droppedCount == 3)
        #expect(ring.takeAll() == 4)
        ring.push()
        #expect(ring.pushedCount == 5 && ring.droppedCount == 3)
    }

    @Test("A record that brings its attempt along counts as two spans, taken or refused")
    func pairs() {
        let ring = SpanRing(capacity: 2)
        ring.push(hasAttempt: true)
        ring.push()
        ring.push(hasAttempt: true)
        #expect(ring.pushedCount == 3 && ring.droppedCount == 2)
        #expect(ring.waiting(limit: 10) == (2, 3))
    }

    @Test("A record comes out as it went in, whatever lay in its slot before")
    func content() {
        let ring = SpanRing(capacity: 2)
        for number in 1...9 {
            var record = EncodingTests.record()
            let path = [UInt8](repeating: UInt8(number), count: 190 / number)
            record.set(path: path, requestID: [UInt8(number)])
            ring.push(&record)
            ring.visit(1) { found in
                #expect(array(found.texts.path) == path && array(found.texts.requestID) == [UInt8(number)])
                #expect(found.spanID == record.spanID && found.peer.port == record.peer.port)
            }
            ring.free(1)
        }
    }
}

extension SpanRing {
    @discardableResult
    func push(hasAttempt: Bool = false) -> Bool {
        var record = SpanRecord()
        record.hasAttempt = hasAttempt
        return push(&record)
    }

    func takeAll() -> Int {
        let records = waiting(limit: 10_000).records
        free(records)
        return records
    }
}
