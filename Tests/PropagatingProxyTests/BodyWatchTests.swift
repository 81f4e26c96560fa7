// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PropagatingProxy

@Suite("The pace of a request's body")
struct BodyWatchTests {
    /// One verdict for each step of 2.5 s, in which so many bytes come.
    private func verdicts(_ bytes: [UInt64], rate: Int = 500, idle: Int = 30_000) -> [BodyWatch.Verdict] {
        var watch = BodyWatch()
        var sum: UInt64 = 0
        return bytes.map {
            sum += $0
            return watch.judge(byteCount: sum, bytesPerSecond: rate, idleMilliseconds: idle)
        }
    }

    @Test("Ten seconds are free, then the average since the start must be the rate")
    func rate() {
        #expect(verdicts([0, 0, 0]) == [.goesOn, .goesOn, .goesOn])
        #expect(verdicts([1, 1, 1, 4997]).last == .goesOn)
        #expect(verdicts([1, 1, 1, 4996]).last == .tooSlow)
        #expect(verdicts([5000, 0, 0, 0, 1250]).allSatisfy { $0 == .goesOn })
        #expect(verdicts([5000, 0, 0, 0, 1249]).last == .tooSlow)
    }

    @Test("A body that came fast may pause, but not for longer than the idle time")
    func pause() {
        let pause = [UInt64](repeating: 0, count: 11)
        #expect(verdicts([1_000_000] + pause).allSatisfy { $0 == .goesOn })
        #expect(verdicts([1_000_000] + pause + [0]).last == .idle)
        #expect(verdicts([1_000_000] + pause + [1, 0]).last == .goesOn)
    }

    @Test("A short idle time is the step, and holds within the first ten seconds")
    func shortIdle() {
        #expect(BodyWatch.stepMilliseconds(idle: 300) == 300)
        #expect(BodyWatch.stepMilliseconds(idle: 30_000) == 2500)
        #expect(verdicts([1, 1, 0], idle: 300) == [.goesOn, .goesOn, .idle])
    }
}

@Suite("Stages of an overload")
struct OverloadStageTests {
    @Test("Spans go first, at 70 % of the pages, then keep-alive at 80 %, then requests at 90 %")
    func stages() {
        let marks = OverloadMarks(pages: 1000)
        #expect(
            [0, 699, 700, 799, 800, 899, 900, 5000].map { marks.stage(atPages: $0) } == [
                .normal, .normal, .spans, .spans, .keepAlive, .keepAlive, .requests, .requests,
            ])
        #expect(OverloadStage.requests > .keepAlive && OverloadStage.keepAlive > .spans)
    }
}
