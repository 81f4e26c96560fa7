// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Testing

@testable import PropagatingProxy

@Suite("Verdicts of health checks")
struct VerdictTests {
    private let check = Configuration.HealthCheck()

    /// `+` and `-` are checks; the answer has `+`, `-` or a dot for each: whether the verdict changed, and to what.
    private func verdicts(_ checks: String) -> String {
        var verdict = HealthVerdict()
        return String(
            checks.map { verdict.note(passed: $0 == "+", check) ? (verdict.isHealthy ? "+" : "-") : "." })
    }

    @Test("The first check decides alone, later ones by their thresholds")
    func thresholds() {
        #expect(verdicts("-") == "-")
        #expect(verdicts("+---") == "...-")
        #expect(verdicts("-+-++") == "-...+")
        #expect(verdicts("+--+--+---++") == ".........-.+")
        #expect(verdicts("-----") == "-....")
    }
}

@Suite("Ejections (Envoy's numbers)")
struct EjectionTests {
    private let rule = Configuration.OutlierDetection()
    private let second: UInt64 = 1_000_000

    @Test("Each ejection lasts longer than the last, up to 5 minutes")
    func lengths() {
        var term = EjectionTerm()
        for expected: UInt64 in [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300] {
            term.begin(at: 7, rule)
            #expect(term.end == 7 + expected * second)
            let early = term.look(at: 6 + expected * second)
            #expect(!early && term.isRunning)
            let late = term.look(at: 7 + expected * second)
            #expect(late && !term.isRunning)
        }
    }

    @Test("An interval without an ejection makes one good")
    func forgiveness() {
        var term = EjectionTerm()
        for _ in 0..<3 {
            term.begin(at: 0, rule)
            _ = term.look(at: 1000 * second)
        }
        for _ in 0..<2 { _ = term.look(at: 1000 * second) }
        term.begin(at: 0, rule)
        #expect(term.end == 60 * second)
    }

    @Test(
        "At most 10 % are out, but one always may be",
        arguments: [(1, 1), (2, 1), (9, 1), (10, 1), (19, 1), (20, 2), (100, 10)])
    func share(_ total: Int, _ most: Int) {
        #expect((0...total).count { rule.allows(ejected: $0, of: total) } == most)
    }

    /// Whether each outcome asks for an ejection.
    private func reasons(_ outcomes: [AttemptOutcome]) -> [EjectionReason?] {
        let record = EndpointRecord(SocketAddress(), upstream: 0)
        return outcomes.map { record.note($0, rule) }
    }

    @Test("Five failures in a row eject, of whatever kind; a good answer ends the run")
    func runs() {
        let bad: [AttemptOutcome] = [.answered(status: 500), .reset, .timedOut, .answered(status: 599)]
        #expect(reasons(bad + [.reset]) == [nil, nil, nil, nil, .serverErrors])
        for good in [AttemptOutcome.answered(status: 200), .answered(status: 404), .answered(status: 499)] {
            #expect(reasons(bad + [good] + bad).allSatisfy { $0 == nil })
        }
        #expect(reasons(bad + [.unanswered, .connectFailed, .reset]).last == .serverErrors)
    }

    @Test("Five connections in a row that could not be made eject; one that was made ends the run")
    func connects() {
        let bad = [AttemptOutcome](repeating: .connectFailed, count: 4)
        #expect(reasons(bad + [.unanswered, .connectFailed]).last == .connectFailures)
        for made in [AttemptOutcome.answered(status: 503), .reset, .answered(status: 200)] {
            #expect(reasons(bad + [made] + bad).allSatisfy { $0 == nil })
        }
    }

    @Test("An endpoint that may not be ejected asks again after as many failures, not at each")
    func refused() {
        let asked = reasons([AttemptOutcome](repeating: .reset, count: 10))
        #expect(asked.indices.filter { asked[$0] != nil } == [4, 9])
    }

    @Test("What this proxy or its caller does wrong counts against no endpoint")
    func blame() {
        for error: ProxyError in [.downstreamGone, .shuttingDown, .outOfBuffers, .requestTimedOut, .bodyTooLarge] {
            #expect(AttemptOutcome(error) == .unanswered)
        }
        #expect(AttemptOutcome(.connectTimedOut) == .connectFailed)
        #expect(AttemptOutcome(.responseTimedOut) == .timedOut)
        #expect(AttemptOutcome(.responseTruncated) == .reset)
    }
}
