// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Testing

@testable import PropagatingProxy

@Suite("Retry policy and budget")
struct RetryPolicyTests {
    @Test("Retries are at most the share of the last ten seconds' requests, or else so many a second")
    func budget() {
        var budget = RetryBudget(percent: 20, leastPerSecond: 3)
        func granted(_ tries: Int) -> Int { (0..<tries).filter { _ in budget.withdraw() }.count }
        #expect(granted(10) == 3)
        for _ in 0..<100 { budget.noteRequest() }
        #expect(granted(100) == 17)
        budget.secondPassed()
        #expect(granted(100) == 3)
        // The hundred requests, and what was granted with them, leave the window together.
        for _ in 0..<RetryBudget.windowSeconds - 1 { budget.secondPassed() }
        for _ in 0..<50 { budget.noteRequest() }
        #expect(granted(100) == 7)
        for _ in 0..<RetryBudget.windowSeconds { budget.secondPassed() }
        #expect(granted(100) == 3)
    }

    @Test("A budget of nothing grants nothing")
    func nothing() {
        var budget = RetryBudget(percent: 0, leastPerSecond: 0)
        for _ in 0..<1000 { budget.noteRequest() }
        let isGranted = budget.withdraw()
        #expect(!isGranted)
    }

    @Test("The wait before a retry is random up to a ceiling that doubles to its bound")
    func backOff() {
        let backOff = BackOff(baseMilliseconds: 25, maximumMilliseconds: 250)
        var random = IDRandom()
        for (retry, ceiling) in [(1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (100, 250)] {
            let waits = (0..<2000).map { _ in backOff.milliseconds(before: retry, random: &random) }
            #expect(waits.allSatisfy { (1...ceiling).contains($0) })
            #expect(Set(waits).count > ceiling / 2)
            #expect((waits.max() ?? 0) > ceiling * 9 / 10)
        }
        let longest = BackOff(baseMilliseconds: 86_400_000, maximumMilliseconds: 86_400_000)
        #expect(longest.milliseconds(before: 5, random: &random) <= 86_400_000)
    }

    @Test("A set of statuses holds what was put in and no other status")
    func statuses() {
        var set = StatusSet()
        for status: UInt16 in [0, 200, 399, 400, 503, 599, 600, .max] { set.insert(status) }
        #expect((0...UInt16.max).filter { set.contains($0) } == [400, 503, 599])
    }
}
