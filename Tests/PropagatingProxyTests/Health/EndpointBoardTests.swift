// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Synchronization
import TestSupport
import Testing

import struct EventLoop.SocketAddress

@testable import PropagatingProxy

/// A board of one upstream, the lines it logged and how often it told the workers.
private final class Stand {
    let board: EndpointBoard
    let lines = Observed("")
    let tellings = Observed(0)
    private let log: Log

    init(limit: Int = 100, _ rule: Configuration.OutlierDetection = Configuration.OutlierDetection()) throws {
        let (lines, tellings) = (lines, tellings)
        log = try Log(level: .info, format: .text) { text in
            lines.change { $0 += String(decoding: text, as: UTF8.self) }
        }
        let upstream = Configuration.Upstream(
            name: "app", service: "app", endpoints: [], settings: Configuration.UpstreamSettings(),
            balance: .roundRobin, healthCheck: Configuration.HealthCheck(), outlierDetection: rule, panicPercent: 50,
            host: .keep, authority: [])
        board = EndpointBoard([upstream], limit: limit, log: log) { tellings.change { $0 += 1 } }
    }

    deinit { log.stop() }

    static func address(_ number: Int) -> SocketAddress {
        SocketAddress(literal: "10.0.0.\(number)", port: 80) ?? SocketAddress()
    }

    func join(_ numbers: ClosedRange<Int>) -> [EndpointRecord] {
        numbers.compactMap { board.join(Self.address($0), upstream: 0) }
    }

    func logged() -> String {
        log.flush()
        return lines.current
    }

    var figures: EndpointFigures.Upstream? { board.figures().upstreams.first }
}

@Suite("The board of endpoints")
struct EndpointBoardTests {
    @Test("Workers that know an address share one record, which lasts until the last has left it")
    func sharing() throws {
        let stand = try Stand()
        let first = try #require(stand.join(1...1).first)
        #expect(stand.join(1...1).first === first)
        stand.board.judge(first, isHealthy: false, reason: "x")
        stand.board.leave(first)
        #expect(stand.join(1...1).first?.isHealthy == false)
        stand.board.leave(first)
        stand.board.leave(first)
        #expect(stand.figures?.endpoints.isEmpty == true)
        #expect(stand.join(1...1).first?.isHealthy == true)
    }

    @Test("Beyond the bound an endpoint has no record, and is counted")
    func bound() throws {
        let stand = try Stand(limit: 3)
        let records = stand.join(1...5)
        #expect(records.count == 3)
        #expect(stand.board.figures().untracked == 2)
        stand.board.leave(records[0])
        #expect(stand.join(9...9).count == 1)
    }

    @Test("A verdict is told to the workers, logged once and counted")
    func verdicts() throws {
        let stand = try Stand()
        let records = stand.join(1...3)
        let version = stand.board.version
        stand.board.judge(records[0], isHealthy: false, reason: "status 500")
        #expect(stand.board.version != version)
        #expect(stand.tellings.current == 1)
        stand.board.judge(records[0], isHealthy: true, reason: "")
        #expect(stand.figures?.counts.changes == 2)
        let log = stand.logged()
        #expect(
            log.contains("WARN  endpoint is unhealthy upstream=app endpoint=10.0.0.1:80 reason=\"status 500\"\n"))
        #expect(log.contains("INFO  endpoint is healthy again upstream=app endpoint=10.0.0.1:80\n"))
    }

    @Test("One of ten endpoints is ejected, a second is not; the first comes back when its time is over")
    func ejection() throws {
        let stand = try Stand()
        let records = stand.join(1...10)
        stand.board.eject(records[0], .serverErrors, at: 0)
        stand.board.eject(records[1], .connectFailures, at: 0)
        stand.board.eject(records[0], .serverErrors, at: 0)
        #expect(records.map(\.isEjected).prefix(3) == [true, false, false])
        let counts = try #require(stand.figures).counts
        #expect(counts[.serverErrors] == 1 && counts[.connectFailures] == 0 && counts.ejectionsRefused == 1)
        stand.board.lookAtEjected(of: 0, at: 29_999_999)
        #expect(records[0].isEjected)
        stand.board.lookAtEjected(of: 0, at: 30_000_000)
        #expect(!records[0].isEjected)
        #expect(stand.tellings.current == 2)
        #expect(stand.logged().contains("endpoint is back from ejection"))
    }

    @Test("Panic mode is shown and logged when it begins and when it ends")
    func panic() throws {
        let stand = try Stand()
        let records = stand.join(1...2)
        stand.board.judge(records[0], isHealthy: false, reason: "x")
        #expect(stand.figures?.isPanicking == false)
        stand.board.judge(records[1], isHealthy: false, reason: "x")
        #expect(stand.figures?.isPanicking == true)
        stand.board.judge(records[1], isHealthy: true, reason: "")
        #expect(stand.figures?.isPanicking == false)
        let log = stand.logged()
        #expect(log.contains("too few endpoints are available, all are used upstream=app"))
        #expect(log.contains("enough endpoints are available again upstream=app"))
    }

    @Test("Each endpoint has its gauges in the metrics")
    func metrics() throws {
        let stand = try Stand()
        let records = stand.join(1...2)
        records[0].addActive(3)
        records[0].addActive(-1)
        stand.board.judge(records[1], isHealthy: false, reason: "x")
        stand.board.eject(records[0], .serverErrors)
        stand.board.noteCheck(records[0], passed: false)
        var text = MetricsText()
        stand.board.figures().write(into: &text)
        let metrics = try Metrics(String(decoding: text.bytes, as: UTF8.self))
        let prefix = "propagating_proxy_upstream_"
        let labels = ["upstream": "app", "endpoint": "10.0.0.1:80"]
        #expect(metrics[prefix + "endpoint_active_requests", labels] == 2)
        #expect(metrics[prefix + "endpoint_healthy", labels] == 1)
        #expect(metrics[prefix + "endpoint_healthy"] == 1)
        #expect(metrics[prefix + "endpoint_ejected", labels] == 1)
        #expect(metrics[prefix + "panic", ["upstream": "app"]] == 1)
        #expect(metrics[prefix + "ejections_total", ["reason": "consecutive_5xx"]] == 1)
        #expect(metrics[prefix + "health_checks_total", ["outcome": "failed"]] == 1)
        #expect(metrics[prefix + "health_changes_total"] == 1)
    }
}
