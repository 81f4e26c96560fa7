// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import EventLoop

@Suite("Deadlines on the timer wheel")
struct TimerWheelTests {
    let clock = ManualNanoseconds()
    let loop: EventLoop

    init() throws {
        let clock = clock
        loop = try EventLoop(wheel: TimerWheel(nanoseconds: { clock.now }))
    }

    private func socket() -> NotingSocket {
        let (near, far) = socketPair()
        close(far)
        return NotingSocket(number: near, on: loop)
    }

    /// Turns the wheel, and tells those that are due without asking first whether they are ready.
    private func turn() {
        loop.wheel.turn()
        loop.wheel.tellSome()
    }

    /// Turns the wheel every so many milliseconds; answers when the socket was told, or `nil`.
    private func fired(_ socket: NotingSocket, within limit: Int, step: Int) -> Int? {
        var passed = 0
        while passed < limit {
            clock.advance(milliseconds: step)
            passed += step
            turn()
            if socket.deadlines > 0 { return passed }
        }
        return nil
    }

    @Test(
        "A deadline passes at or after its time and at most 300 ms late",
        arguments: [1, 99, 100, 101, 1000, 15_000, 51_000, 51_200, 60_000, 200_000], [0, 1, 50, 99])
    func onTime(milliseconds: Int, phase: Int) throws {
        clock.advance(milliseconds: phase)
        turn()
        clock.advance(milliseconds: 99)  // the wheel has not turned since
        let socket = socket()
        socket.setDeadline(milliseconds: milliseconds)
        let passed = try #require(fired(socket, within: milliseconds + 1000, step: 1))
        #expect(passed >= milliseconds)
        #expect(passed <= milliseconds + 300)
        _ = fired(socket, within: 1000, step: 100)
        #expect(socket.deadlines == 1)
    }

    @Test("A turn that comes late does not make a deadline early")
    func lateTurn() throws {
        clock.advance(milliseconds: 199)
        turn()
        clock.advance(milliseconds: 99)
        let socket = socket()
        socket.setDeadline(milliseconds: 100)
        clock.advance(milliseconds: 3)
        turn()
        #expect(socket.deadlines == 0)
        clock.advance(milliseconds: 99)
        turn()
        clock.advance(milliseconds: 100)
        turn()
        #expect(socket.deadlines == 1)
    }

    @Test("A deadline moved away passes at its new time only")
    func movedAway() throws {
        let socket = socket()
        socket.setDeadline(milliseconds: 500)
        clock.advance(milliseconds: 400)
        turn()
        socket.setDeadline(milliseconds: 500)
        #expect(try #require(fired(socket, within: 2000, step: 10)) >= 500)
        #expect(socket.deadlines == 1)
    }

    @Test("A deadline moved nearer passes at the nearer time")
    func movedNearer() throws {
        let socket = socket()
        socket.setDeadline(milliseconds: 60_000)
        socket.setDeadline(milliseconds: 300)
        #expect(try #require(fired(socket, within: 2000, step: 10)) <= 500)
    }

    @Test("A cleared deadline never passes")
    func cleared() {
        let socket = socket()
        socket.setDeadline(milliseconds: 300)
        socket.setDeadline(milliseconds: nil)
        #expect(fired(socket, within: 60_000, step: 100) == nil)
    }

    @Test("A stall of minutes expires everything due, and once")
    func stall() {
        let all = [100, 5000, 51_300, 90_000].map { milliseconds in
            let socket = socket()
            socket.setDeadline(milliseconds: milliseconds)
            return socket
        }
        clock.advance(milliseconds: 180_000)
        turn()
        #expect(all.map(\.deadlines) == [1, 1, 1, 1])
    }

    @Test("Sockets may close each other and open new ones while the wheel turns")
    func removalInside() {
        var sockets = (0..<6).map { _ in socket() }
        var born: [NotingSocket] = []
        for (index, socket) in sockets.enumerated() {
            socket.setDeadline(milliseconds: 300)
            socket.onDeadline = { mine in
                mine.close()
                sockets[(index + 3) % 6].close()
                let next = self.socket()
                next.setDeadline(milliseconds: 300)
                born.append(next)
            }
        }
        for _ in 0..<6 {
            clock.advance(milliseconds: 100)
            turn()
        }
        #expect(sockets.map(\.deadlines).reduce(0, +) == 3)
        #expect(born.allSatisfy { $0.deadlines == 0 })
        for _ in 0..<6 {
            clock.advance(milliseconds: 100)
            turn()
        }
        #expect(born.map(\.deadlines) == [1, 1, 1])
        sockets = []
    }

    @Test("After a stall what is ready is told before the deadline that has passed meanwhile, and may clear it")
    func readyFirst() {
        let (near, far) = socketPair()
        defer { close(far) }
        let socket = NotingSocket(number: near, on: loop)
        socket.onReady = { mine, _ in mine.setDeadline(milliseconds: nil) }
        socket.setDeadline(milliseconds: 100)
        clock.advance(milliseconds: 10_000)
        usleep(UInt32(2 * TimerWheel.tickMilliseconds) * 1000)  // the loop's own timer is due, too
        say("x", to: far)
        for _ in 0..<5 { loop.runOnce() }
        #expect(!socket.seen.isEmpty && socket.deadlines == 0)
        let silent = self.socket()
        silent.onReady = { mine, _ in mine.onReady = { _, _ in } }
        silent.setDeadline(milliseconds: 100)
        clock.advance(milliseconds: 10_000)
        #expect(drive(loop) { silent.deadlines == 1 })
    }

    @Test("Thousands due at once are told a few in each turn, those moved meanwhile not, and others are served between")
    func backlog() throws {
        let (mine, other) = socketPair()
        defer { close(other) }
        let served = NotingSocket(number: mine, on: loop)
        let limit = TimerWheel.turnLimit
        let sockets = (0..<limit * 10).map { _ in
            let socket = socket()
            socket.setDeadline(milliseconds: 100)
            return socket
        }
        clock.advance(milliseconds: 500)
        turn()
        #expect(sockets.count { $0.deadlines > 0 } == limit)
        let waiting = sockets.filter { $0.deadlines == 0 }
        waiting[0].setDeadline(milliseconds: nil)
        waiting[1].setDeadline(milliseconds: 1000)
        waiting[2].close()
        let heir = socket()  // has its place in the wheel
        heir.setDeadline(milliseconds: 1000)
        #expect(say("x", to: other) == 1)
        for _ in 0..<4 where served.seen.isEmpty { loop.runOnce() }
        #expect(!served.seen.isEmpty && sockets.count { $0.deadlines > 0 } < limit * 6)
        for _ in 0..<20 { loop.runOnce() }
        #expect(sockets.count { $0.deadlines == 1 } == sockets.count - 3)
        #expect(waiting.prefix(3).allSatisfy { $0.deadlines == 0 } && heir.deadlines == 0)
        #expect(try #require(fired(heir, within: 2000, step: 50)) >= 900)
        #expect(waiting[1].deadlines == 1)
    }

    @Test("Random deadlines, moves and removals pass as a plain list says")
    func law() {
        var random = SeededRandom(seed: 11)
        var sockets: [NotingSocket] = []
        var due: [Int: (from: Int, to: Int)] = [:]
        var passed = 0
        for _ in 0..<40 { sockets.append(socket()) }
        for _ in 0..<20_000 {
            let index = Int.random(in: 0..<40, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                sockets[index].close()
                sockets[index] = socket()
                due[index] = nil
            case 1:
                sockets[index].setDeadline(milliseconds: nil)
                due[index] = nil
            case 2, 3:
                let milliseconds = Int.random(in: 0..<120_000, using: &random) / (1 + index)
                sockets[index].setDeadline(milliseconds: milliseconds)
                due[index] = (passed + milliseconds, passed + milliseconds + 300)
            default:
                let step = Int.random(in: 0...60, using: &random)
                clock.advance(milliseconds: step)
                passed += step
                // The wheel turns at least every 60 ms here, so at most 60 ms more.
                turn()
            }
            for index in 0..<40 where sockets[index].deadlines > 0 {
                sockets[index].deadlines = 0
                guard let expected = due.removeValue(forKey: index) else {
                    Issue.record("socket \(index) had no deadline")
                    return
                }
                #expect(passed >= expected.from)
            }
            if let late = due.first(where: { $0.value.to + 60 < passed }) {
                Issue.record("socket \(late.key) is late")
                return
            }
        }
    }
}

/// SplitMix64: the same numbers in each run.
struct SeededRandom: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
