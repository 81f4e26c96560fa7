// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("Retries that a route asks for")
struct RetryTests {
    /// A stage whose route retries as the flow mapping says, before two upstreams if asked. Idle connections last: tests
    /// count on them.
    private static func stage(
        _ retry: String, budget: String = "{ percent: 100 }", further: SocketAddress? = nil, route: String = "",
        script: @escaping FakeUpstream.Script
    ) throws -> Stage {
        try Stage(script: script) { text in
            text.routes = ["{ upstream: app, retry: \(retry)\(route) }"]
            var endpoints = ["\"\(text.upstream)\""]
            if let further { endpoints.append("\"\(further)\"") }
            text.upstreams["app"] = [
                "endpoints: [\(endpoints.joined(separator: ", "))]", "retry_budget: \(budget)",
                "timeouts: { pool_idle: 10m }",
            ]
        }
    }

    /// The statuses in turn, the last one for ever; the body says how many came before.
    private static func answering(_ statuses: [Int], _ asked: Observed<Int> = Observed(0)) -> FakeUpstream.Script {
        { exchange in
            _ = try exchange.body()
            let number = asked.change { count in
                count += 1
                return count - 1
            }
            let status = statuses[min(number, statuses.count - 1)]
            if status == 0 { return exchange.reset() }
            try exchange.reply(status, text: "\(number)")
        }
    }

    private func outcome(_ stage: Stage, _ outcome: String) throws -> Int {
        try stage.proxy.metrics()[
            "propagating_proxy_upstream_retries_total", ["upstream": "app", "outcome": outcome]]
    }

    struct Row: CustomTestStringConvertible, Sendable {
        var testDescription: String { "on \(on), then \(statuses): \(expected)" }
        var on: String
        /// 0 is a reset.
        var statuses: [Int]
        var expected: Int
        var tries: Int
    }

    @Test(
        "A failure that the route names is tried again, another is passed on",
        arguments: [
            Row(on: "[5xx]", statuses: [500, 200], expected: 200, tries: 2),
            Row(on: "[5xx]", statuses: [0, 200], expected: 200, tries: 2),
            Row(on: "[gateway_error]", statuses: [503, 200], expected: 200, tries: 2),
            Row(on: "[gateway_error]", statuses: [500, 200], expected: 500, tries: 1),
            Row(on: "[reset]", statuses: [0, 200], expected: 200, tries: 2),
            Row(on: "[reset]", statuses: [503, 200], expected: 503, tries: 1),
            Row(on: "[connect_failure]", statuses: [0, 200], expected: 502, tries: 1),
            Row(on: "[retriable_status], statuses: [429]", statuses: [429, 200], expected: 200, tries: 2),
            Row(on: "[retriable_status], statuses: [429]", statuses: [503, 200], expected: 503, tries: 1),
            Row(on: "[5xx], attempts: 3", statuses: [500, 502, 0, 200], expected: 200, tries: 4),
            Row(on: "[5xx], attempts: 2", statuses: [500, 501, 502, 200], expected: 502, tries: 3),
            Row(on: "[5xx], attempts: 0", statuses: [500, 200], expected: 500, tries: 1),
        ])
    func conditions(_ row: Row) throws {
        let stage = try Self.stage("{ on: \(row.on) }", script: Self.answering(row.statuses))
        #expect(try stage.proxy.exchange(request()).status == row.expected)
        #expect(stage.upstream.requests.count == row.tries)
        // A reset of a reused connection is the idle-close race, which is nobody's retry.
        let replays = try stage.proxy.metrics()["propagating_proxy_upstream_replays_total"]
        #expect(try outcome(stage, "retried") + replays == row.tries - 1)
    }

    @Test("Each try is a CLIENT span that counts the ones before it, with its own status and its own id upstream")
    func spans() throws {
        let stage = try Self.stage("{ on: [5xx], attempts: 2 }", script: Self.answering([500, 503, 200]))
        #expect(try stage.proxy.exchange(request()).status == 200)
        let spans = try stage.collector.spans(4)
        let server = try #require(spans.first { $0.kind == .server })
        let clients = spans.filter { $0.kind == .client }
        #expect(clients.count == 3 && clients.allSatisfy { $0.parentID == server.id })
        #expect(server.tags["http.status_code"] == "200" && server.tags["error"] == nil)
        for (number, status) in ["500", "503", "200"].enumerated() {
            let received = stage.upstream.requests[number]
            let span = try #require(clients.first { $0.id == received["x-b3-spanid"] })
            #expect(span.tags["http.status_code"] == status)
            #expect(span.tags["http.request.resend_count"] == (number == 0 ? nil : "\(number)"))
        }
    }

    @Test("A retry goes to another endpoint if there is one")
    func anotherEndpoint() throws {
        let good = try FakeUpstream { try $0.reply(text: "good") }
        let stage = try Self.stage("{ on: [5xx] }", further: good.address, script: Self.answering([503]))
        for _ in 0..<6 { #expect(try stage.proxy.exchange(request()).body.text == "good") }
        #expect(stage.upstream.requests.count <= 6)
    }

    @Test("A connect that fails is tried again at the one endpoint there is")
    func connectFailure() throws {
        let gone = try FakeUpstream()
        gone.stop()
        let stage = try Stage.configured {
            $0.routes = ["{ upstream: app, retry: { on: [connect_failure], attempts: 3, back_off: { base: 200ms } } }"]
            $0.upstreams["app"] = ["endpoints: [\"\(gone.address)\"]"]
        }
        #expect(try stage.proxy.exchange(request()).status == 503)
        #expect(try outcome(stage, "retried") == 3)
        #expect(try outcome(stage, "exhausted") == 1)
        #expect(try stage.collector.spans(5).filter { $0.kind == .client }.count == 4)
    }

    @Test("A request whose method may do twice what it does once is sent again only where the route says so")
    func nonIdempotent() throws {
        let careful = try Self.stage("{ on: [5xx] }", script: Self.answering([503, 200]))
        #expect(try careful.proxy.exchange(request("POST", "/", body: "x")).status == 503)
        #expect(careful.upstream.requests.count == 1)
        #expect(try outcome(careful, "not_replayable") == 1)
        let told = try Self.stage("{ on: [5xx], non_idempotent: true }", script: Self.answering([503, 200]))
        #expect(try told.proxy.exchange(request("POST", "/", body: "x")).status == 200)
        #expect(told.upstream.requests.map(\.body.text) == ["x", "x"])
    }

    @Test("A body in the buffer is sent again whole; one beyond 64 KiB is not")
    func bodies() throws {
        let stage = try Self.stage("{ on: [5xx] }", script: Self.answering([503, 200, 503, 200]))
        let small = String(repeating: "s", count: 50_000)
        let peer = try stage.proxy.connect()
        #expect(try peer.exchange(request("PUT", "/", body: small)).status == 200)
        #expect(stage.upstream.requests.map(\.body.text) == [small, small])
        let large = String(repeating: "l", count: 70_000)
        #expect(try peer.exchange(request("PUT", "/", body: large)).status == 503)
        #expect(try outcome(stage, "not_replayable") == 1)
        #expect(try peer.exchange(request("PUT", "/", body: small)).status == 200)
    }

    @Test("A body that is still coming when the try fails is sent from its beginning")
    func slowBody() throws {
        let asked = Observed(0)
        let stage = try Self.stage("{ on: [5xx] }") { exchange in
            let isFirst = asked.change { count in
                count += 1
                return count == 1
            }
            if isFirst {
                try exchange.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return exchange.close()
            }
            try exchange.reply(body: exchange.body().bytes)
        }
        let peer = try stage.proxy.connect()
        try peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        #expect(asked.wait { $0 == 2 })
        try peer.send("world")
        #expect(try peer.receiveResponse().body.text == "helloworld")
    }

    @Test("The body of a response that is not passed on is not waited for, and never reaches anybody")
    func discarded() throws {
        let asked = Observed(0)
        let stage = try Self.stage("{ on: [5xx] }") { exchange in
            let number = asked.change { count in
                count += 1
                return count
            }
            switch number {
            case 1: try exchange.send("HTTP/1.1 503 No\r\nContent-Length: 1000000\r\n\r\nbegun")
            case 2: try exchange.send("HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nfull")
            default: try exchange.reply(text: "ok")
            }
        }
        #expect(try stage.proxy.exchange(request()).status == 503)
        #expect(try stage.proxy.exchange(request()).body.text == "ok")
        // The first connection was closed; the second had its whole body taken and went on.
        #expect(stage.upstream.requests.map(\.connection) == [0, 1, 1])
    }

    @Test("Nothing is tried again once an interim response has gone to the caller")
    func interim() throws {
        let stage = try Self.stage("{ on: [5xx] }") { exchange in
            try exchange.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            try exchange.reply(503, text: "no")
        }
        let response = try stage.proxy.exchange(request())
        #expect(response.status == 503 && response.interim.count == 1)
        #expect(stage.upstream.requests.count == 1)
        #expect(try outcome(stage, "not_replayable") == 1)
    }

    @Test("A response that has begun to go to the caller is cut, not tried again")
    func begun() throws {
        let stage = try Self.stage("{ on: [5xx, reset] }") { exchange in
            try exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
            exchange.reset()
        }
        #expect(throws: SocketError.self) { try stage.proxy.exchange(request()) }
        #expect(stage.upstream.requests.count == 1)
    }

    @Test("The budget bounds the retries of an upstream that fails every request")
    func budget() throws {
        let stage = try Self.stage(
            "{ on: [5xx] }", budget: "{ percent: 20, min_per_second: 0 }", script: Self.answering([503]))
        let peer = try stage.proxy.connect()
        for _ in 0..<50 { #expect(try peer.exchange(request()).status == 503) }
        // Ten, unless the machine takes more than the budget's ten seconds for the fifty.
        let retried = try outcome(stage, "retried")
        #expect((1...10).contains(retried))
        #expect(try outcome(stage, "budget") == 50 - retried)
        #expect(stage.upstream.requests.count == 50 + retried)
    }

    @Test(
        "A try that takes too long is given up for another, and the caller never waits longer than the response timeout"
    )
    func perTryTimeout() throws {
        let asked = Observed(0)
        let stage = try Self.stage(
            "{ on: [reset], per_try_timeout: 2s, attempts: 5 }", route: ", timeouts: { response: 10m }"
        ) {
            exchange in
            let number = asked.change { count in
                count += 1
                return count
            }
            if number <= 2 { _ = exchange.peer.isClosed(within: 600) }
            try exchange.reply(text: "\(number)")
        }
        let answer = try #require(Int(try stage.proxy.exchange(request()).body.text))
        #expect((3...6).contains(answer), "on a loaded machine an answer may take too long by itself")
        let hanging = try Self.stage(
            "{ on: [reset], per_try_timeout: 200ms, attempts: 5 }", route: ", timeouts: { response: 500ms }"
        ) { exchange in
            _ = exchange.peer.isClosed(within: 600)
        }
        #expect(try hanging.proxy.exchange(request()).status == 504)
        #expect(hanging.upstream.requests.count < 4)
        #expect(try outcome(hanging, "no_time") == 1)
    }

    @Test("A caller that leaves while its request waits for a retry ends the waiting")
    func callerLeaves() throws {
        let stage = try Self.stage(
            "{ on: [5xx], back_off: { base: 60s, max: 60s } }", route: ", timeouts: { response: 300s }",
            script: Self.answering([503]))
        let (name, retried) = ("propagating_proxy_upstream_retries_total", ["upstream": "app", "outcome": "retried"])
        for round in 1...3 {
            let peer = try stage.proxy.connect()
            try peer.send(request())
            #expect(try stage.proxy.metrics { $0[name, retried] == round }[name, retried] == round)
            peer.reset()
        }
        #expect(
            try stage.proxy.metrics { $0["propagating_proxy_downstream_connections"] == 0 }[
                "propagating_proxy_downstream_connections"] == 0)
        let waiting = "propagating_proxy_retries_waiting"
        #expect(try stage.proxy.metrics(until: { $0[waiting] == 0 })[waiting] == 0)
    }

    @Test("A caller whose reset comes together with its request does not wait for a retry")
    func callerLeftBefore() throws {
        let stage = try Self.stage(
            "{ on: [5xx], back_off: { base: 60s, max: 60s } }", route: ", timeouts: { response: 300s }",
            script: Self.answering([503]))
        try stage.proxy.program.whileStopped {
            let peer = try stage.proxy.connect()
            try peer.send(request())
            peer.reset()
        }
        try stage.upstream.waitForHeads()
        let name = "propagating_proxy_downstream_connections"
        #expect(try stage.proxy.metrics { $0[name] == 0 }[name] == 0)
        #expect(try stage.proxy.metrics()["propagating_proxy_retries_waiting"] == 0)
    }

    @Test("A lost race and a retry of the route go together, each at most as often as it may")
    func raceAndRetry() throws {
        let asked = Observed(0)
        let stage = try Self.stage("{ on: [5xx] }", script: Self.answering([200, 0, 503, 200], asked))
        #expect(try stage.proxy.exchange(request()).status == 200)
        #expect(try stage.proxy.exchange(request()).status == 200)
        #expect(asked.current == 4)
        #expect(try outcome(stage, "retried") == 1)
        #expect(try stage.proxy.metrics()["propagating_proxy_upstream_replays_total"] == 1)
    }
}
