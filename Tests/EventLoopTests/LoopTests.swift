// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Testing

@testable import EventLoop

@Suite("Wake-ups, timers, threads, random numbers")
struct LoopTests {
    let loop: EventLoop
    init() throws { loop = try EventLoop() }

    @Test("A bell rung on another thread wakes a sleeping loop")
    func wakeUp() throws {
        var calls = 0
        let wakeUp = try WakeUp(on: loop) { [loop] in
            calls += 1
            loop.stop()
        }
        let bell = wakeUp.bell
        let thread = try SystemThread(name: "ringer") {
            usleep(20_000)
            bell.ring()
        }
        loop.run()
        thread.join()
        #expect(calls == 1)
    }

    @Test("Rings that come together are answered at least once, and none is lost")
    func manyRings() throws {
        let counter = RingCounter()
        var seen = 0
        let wakeUp = try WakeUp(on: loop) { seen = counter.value.load(ordering: .acquiring) }
        let bell = wakeUp.bell
        let threads = try (0..<4).map { _ in
            try SystemThread(name: "ringer") {
                for _ in 0..<500 {
                    counter.value.add(1, ordering: .acquiringAndReleasing)
                    bell.ring()
                }
            }
        }
        let areAllSeen = withExtendedLifetime(wakeUp) { drive(loop) { seen == 2000 } }
        for thread in threads { thread.join() }
        #expect(areAllSeen, "\(seen)")
    }

    @Test("A ring after the wake-up's end is lost and reaches nothing else")
    func lateRing() throws {
        var wakeUp: WakeUp? = try WakeUp(on: loop) {}
        let bell = try #require(wakeUp?.bell)
        wakeUp = nil
        bell.ring()
        loop.runOnce()
    }

    @Test("A thread without a loop sleeps until the doorbell rings, or for as long as it said")
    func doorbell() throws {
        let bell = try Doorbell()
        #expect(!bell.wait(milliseconds: 1))
        bell.ring()
        bell.ring()
        #expect(bell.wait())
        #expect(!bell.wait(milliseconds: 0))
        let thread = try SystemThread(name: "ringer") { bell.ring() }
        #expect(bell.wait())
        thread.join()
    }

    @Test("What goes to stderr arrives whole, even if its reader is slow and the pipe non-blocking")
    func standardError() throws {
        var ends: [CInt] = [-1, -1]
        pipe(&ends)
        let (from, to) = (ends[0], ends[1])
        _ = fcntl(to, F_SETFL, O_NONBLOCK)
        let text = [UInt8](repeating: 65, count: 300_000)
        let thread = try SystemThread(name: "writer") {
            StandardError.write(text.span, to: to)
            close(to)
        }
        var room = [UInt8](repeating: 0, count: 65_536)
        var count = 0
        while case let got = read(from, &room, room.count), got > 0 { count += got }
        thread.join()
        #expect(count == text.count)
        Host.ignoreBrokenPipes()
        close(from)
        StandardError.write(text.span, to: -1)
    }

    @Test("A timer fires once, no sooner than told, and again when it repeats")
    func timers() throws {
        let start = Clock.monotonicMicroseconds
        var once: UInt64 = 0
        var repeats = 0
        let single = try LoopTimer(on: loop) { once = Clock.monotonicMicroseconds }
        let repeating = try LoopTimer(on: loop, repeats: true) { repeats += 1 }
        let cancelled = try LoopTimer(on: loop) { Issue.record("it was cancelled") }
        single.start(milliseconds: 30)
        repeating.start(milliseconds: 5)
        cancelled.start(milliseconds: 1)
        cancelled.cancel()
        drive(loop) { once > 0 && repeats >= 3 }
        #expect(once - start >= 25_000, "libevent's clock steps by 4 ms")
        repeating.cancel()
        let before = repeats
        drive(loop, seconds: 0.02) { false }
        #expect(repeats == before)
    }

    @Test("A timer may end itself and keeps its loop until then")
    func timerEndsItself() throws {
        var timer: LoopTimer?
        var fired = false
        do {
            let other = try EventLoop()
            timer = try LoopTimer(on: other) {
                fired = true
                timer = nil
            }
            timer?.start(milliseconds: 0)
            drive(other) { fired }
        }
        #expect(fired)
        var orphan: LoopTimer? = try LoopTimer(on: try EventLoop()) {}
        orphan?.start(milliseconds: 1000)
        orphan = nil
    }

    @Test("A signal is told on the loop's thread")
    func signals() throws {
        var count = 0
        let source = try SignalSource(SIGUSR2, on: loop) { count += 1 }
        kill(getpid(), SIGUSR2)
        drive(loop) { count == 1 }
        #expect(count == 1)
        withExtendedLifetime(source) {}
    }

    @Test("Random numbers do not repeat, across seeds and generators")
    func random() {
        var first = IDRandom()
        var second = IDRandom()
        var seen: Set<UInt64> = []
        for _ in 0..<70_000 {
            seen.insert(first.next())
            seen.insert(second.next())
        }
        #expect(seen.count == 140_000)
        #expect(!seen.contains(0))
    }

    @Test("The generator is xoshiro256**: the numbers its authors' code gives")
    func generator() {
        var random = IDRandom(state: [1, 2, 3, 4])
        let expected: [UInt64] = [11520, 0, 1_509_978_240, 1_215_971_899_390_074_240]
        #expect(expected.map { _ in random.next() } == expected)
    }

    @Test("A thread runs its closure and can be waited for")
    func threads() throws {
        let counter = RingCounter()
        let thread = try SystemThread(name: "a name longer than fifteen bytes") {
            counter.value.add(1, ordering: .relaxed)
        }
        thread.join()
        #expect(counter.value.load(ordering: .relaxed) == 1)
    }

    @Test("The machine allows at least one CPU and some descriptors; libevent tells its version")
    func host() {
        #expect(Host.allowedCPUs >= 1)
        #expect(Host.raiseDescriptorLimit() >= 256)
        #expect(EventLoop.libraryVersion.hasPrefix("2."))
    }
}

final class RingCounter: Sendable {
    let value = Atomic<Int>(0)
}
