// SPDX-License-Identifier: Apache-2.0
import Propagation
import Testing

@Suite("Sampling")
struct SamplerTests {
    @Test(
        "A percentage becomes the exact OpenTelemetry threshold",
        arguments: [
            ("100", 0), ("100.000", 0), ("50", 0x8000_0000_0000_00), ("25", 0xc000_0000_0000_00),
            ("10", 0xe666_6666_6666_66), ("1", 0xfd70_a3d7_0a3d_71), ("0.1", 0xffbe_76c8_b439_58),
            ("0.01", 0xfff9_7247_4538_ef), ("0.0001", 0xffff_ef39_085f_4a), ("0", 1 << 56), ("0.000", 1 << 56),
            ("0.0000000000000000000000001", 1 << 56 - 1), ("99.99999999999999999999999", 0),
        ] as [(String, UInt64)])
    func thresholds(percent: String, value: UInt64) { #expect(SamplingThreshold(percentText: percent)?.value == value) }

    @Test(
        "What is no percentage is refused",
        arguments: ["", ".", "1.", ".5", "100.1", "101", "1000", "-1", "+1", "1e2", "1,5", "50%", " 1", "1.2.3", "٣"])
    func refusals(percent: String) { #expect(SamplingThreshold(percentText: percent) == nil) }

    @Test("The trace id alone decides, with 16 digits or 32")
    func consistency() throws {
        let half = try #require(SamplingThreshold(percentText: "50"))
        let quarter = try #require(SamplingThreshold(percentText: "25"))
        let tenth = try #require(SamplingThreshold(percentText: "10"))
        let hundredth = try #require(SamplingThreshold(percentText: "1"))
        #expect(!half.records(traceID("463ac35c9f6413ad48485a3953bb6124")))
        #expect(!half.records(traceID("48485a3953bb6124")))
        #expect(hundredth.records(traceID("80f198ee56343ba864fe8b2a57d3eff7")))
        #expect(quarter.records(traceID("4bf92f3577b34da6a3ce929d0e0e4736")))
        #expect(!tenth.records(traceID("4bf92f3577b34da6a3ce929d0e0e4736")))
        let last = traceID("ffffffffffffffffffffffffffffffff")
        let first = traceID("00000000000000000000000000000001")
        let smallest = try #require(SamplingThreshold(percentText: "0.00000000000001"))
        #expect(smallest.records(last) && SamplingThreshold.always.records(first))
        #expect(!smallest.records(first) && !SamplingThreshold.never.records(last))
    }

    @Test("The first rule wins: route, debug, caller, rate cap, probability")
    func order() throws {
        let all = traceID("0000000000000000ffffffffffffffff")
        let half = try #require(SamplingThreshold(percentText: "50"))
        func decide(_ headers: [[String]], _ rule: SamplingRule = .inherit, trust: Trust = .all) -> SamplingDecision {
            var sampler = Sampler(threshold: .never, debugPerSecond: 1)
            return sampler.decide(extract(headers, trust: trust), traceID: all, rule: rule, nowMicroseconds: 0)
        }
        #expect(decide([["x-b3-flags", "1"]], .never).reason == .routeNever)
        #expect(decide([["b3", "0"]], .always).reason == .routeAlways)
        #expect(decide([["x-b3-flags", "1"]], .percent(.never)).sampling == .debug)
        #expect(decide([["b3", "1"]]).reason == .incomingAccept)
        #expect(decide([["b3", "0"]], .percent(.always)).reason == .incomingDeny)
        #expect(decide([]).reason == .probability && decide([]).sampling == .deny)
        #expect(decide([], .percent(half)).reason == .routePercent && decide([], .percent(half)).sampling == .accept)
        #expect(decide([["b3", "1"]], trust: .ids).reason == .probability)
        #expect(decide([["x-b3-flags", "1"]], trust: .none).reason == .probability)
    }

    @Test("Debug above its cap is recorded as an ordinary trace")
    func debugCap() {
        var sampler = Sampler(threshold: .never, debugPerSecond: 2)
        let debug = extract([["x-b3-flags", "1"]])
        var reasons: [SamplingReason] = []
        for now: UInt64 in [0, 1, 2, 999_999, 1_000_000] {
            let decision = sampler.decide(debug, traceID: TraceID(short: 1), rule: .inherit, nowMicroseconds: now)
            reasons.append(decision.reason)
            #expect(decision.sampling == (decision.reason == .debug ? .debug : .accept))
        }
        #expect(reasons == [.debug, .debug, .debugCapped, .debugCapped, .debug])
    }

    @Test("Traces above the rate cap are denied, and traces the probability denies do not use it up")
    func rateCap() throws {
        let half = try #require(SamplingThreshold(percentText: "50"))
        var sampler = Sampler(threshold: half, maxTracesPerSecond: 1)
        let reasons = [1, UInt64.max, UInt64.max].map { low in
            sampler.decide(Extracted(), traceID: TraceID(short: low), rule: .inherit, nowMicroseconds: 5).reason
        }
        #expect(reasons == [.probability, .probability, .rateCap])
    }

    @Test("Below ten a second the budget goes at once; from ten up in tenths, the remainder first")
    func tenths() {
        #expect(taken(7, at: [0, 100_000, 1_000_000]) == [7, 0, 7])
        #expect(taken(23, at: [0, 100_000, 200_000, 900_000, 1_000_000]) == [5, 2, 2, 14, 5])
        #expect(taken(0, at: [0]) == [0])
    }

    private func taken(_ perSecond: Int, at times: [UInt64]) -> [Int] {
        var limiter = RateLimiter(perSecond: perSecond)
        return times.map { now in
            var count = 0
            while limiter.take(nowMicroseconds: now) { count += 1 }
            return count
        }
    }
}
