// SPDX-License-Identifier: Apache-2.0

import EventLoop
import Foundation
import Synchronization
import Testing

@Suite("Threads")
struct SystemThreadTests {
    /// Linux 6.12 tells a thread's turn, and lets a thread choose it.
    static let tellsTurns = turn(of: schedulerText()) != nil && kernelLetsChoose()

    @Test(
        "A thread that wakes soon has asked for turns of 0.1 ms, and no other thread has",
        .enabled(if: tellsTurns, "this kernel is older than 6.12, or does not tell the turns of its threads"))
    func turns() throws {
        let told = Mutex<[String]>([])
        for wakesSoon in [true, false] {
            let thread = try SystemThread(name: "turns", wakesSoon: wakesSoon) {
                told.withLock { $0.append(Self.schedulerText()) }
            }
            thread.join()
        }
        let turns = told.withLock { $0.map(Self.turn(of:)) }
        #expect(turns == [100_000, Self.turn(of: Self.schedulerText())])
        #expect(turns.last != 100_000)
    }

    private static func schedulerText() -> String {
        (try? String(contentsOfFile: "/proc/thread-self/sched", encoding: .utf8)) ?? ""
    }

    /// Nanoseconds, of the line `se.slice   :   2800000`.
    private static func turn(of text: String) -> Int? {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("se.slice") }) else { return nil }
        return line.split(separator: " ").last.flatMap { Int($0) }
    }

    private static func kernelLetsChoose() -> Bool {
        let release = (try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)) ?? ""
        let numbers = release.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
        return !numbers.lexicographicallyPrecedes([6, 12])
    }
}
