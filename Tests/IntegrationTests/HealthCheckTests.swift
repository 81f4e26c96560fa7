// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// Fast, and no probe that is answered fails because somebody stands still.
private let fast = "interval: 50ms, timeout: 60s, unhealthy_threshold: 2, healthy_threshold: 2"

@Suite("Health checks")
struct HealthCheckTests {
    @Test("An endpoint whose check fails gets no request, and gets its share again when it passes")
    func outAndBack() throws {
        let status = Observed(500)
        let group = try EndpointGroup(2, workers: 2, ["health_check: { \(fast) }"]) { number, exchange in
            let isCheck = exchange.head.target == "/healthz"
            try exchange.reply(
                isCheck && number == 1 ? status.current : 200, fields: ["X-Endpoint: \(number)", "Connection: close"])
        }
        #expect(try group.waits(for: "upstream_endpoint_healthy", 1, 0))
        #expect(try group.comesToUse([0]))
        status.change { $0 = 204 }
        #expect(try group.waits(for: "upstream_endpoint_healthy", 1, 1))
        #expect(try group.comesToUse([0, 1]))
        #expect(try group.metric("upstream_health_changes_total") == 2)
        #expect(try group.metric("upstream_health_checks_total", ["outcome": "failed"]) > 0)
        group.proxy.program.waitForOutput { $0.contains("endpoint is unhealthy") }
        let lines = group.proxy.log.split(separator: "\n").filter { $0.contains("endpoint is unhealthy") }
        #expect(lines.count == 1, "a change of the verdict is logged once, not each failed check")
        #expect(lines.first?.hasSuffix("endpoint=\(group.endpoints[1].address) reason=\"status 500\"") == true)
    }

    @Test("A dead endpoint is out before a request finds it, and in again when it is back")
    func dead() throws {
        let group = try EndpointGroup(3, ["health_check: { type: tcp, \(fast) }"])
        let address = group.endpoints[2].address
        group.endpoints[2].stop()
        #expect(try group.waits(for: "upstream_endpoint_healthy", 2, 0))
        #expect(try group.comesToUse([0, 1]))
        #expect(try group.metric("upstream_errors_total") == 0)
        let back = try FakeUpstream(on: address) { try EndpointGroup.tell(2, $0) }
        #expect(try group.waits(for: "upstream_endpoint_healthy", 2, 1))
        #expect(try group.comesToUse([0, 1, 2]))
        back.stop()
    }

    @Test("An endpoint that is dead from the start is out after one check, however high the threshold")
    func deadFromStart() throws {
        let gone = try FakeUpstream()
        let address = gone.address
        gone.stop()
        let stage = try Stage.configured {
            $0.upstreams["app"] = [
                EndpointGroup.line([$0.upstream, address]),
                "health_check: { type: tcp, interval: 1s, timeout: 60s, unhealthy_threshold: 100 }",
            ]
        }
        let name = "propagating_proxy_upstream_endpoint_healthy"
        let metrics = try stage.proxy.metrics { $0[name] == 1 }
        #expect(metrics[name, ["endpoint": "\(address)"]] == 0)
        #expect(metrics[name, ["endpoint": "\(stage.upstream.address)"]] == 1, "\(stage.proxy.log)")
    }

    @Test("Each endpoint is asked once for all workers, by a probe that says who it is and that nobody traces")
    func probes() throws {
        let stage = try Stage.configured {
            $0.workers = 3
            $0.upstreams["app"]?.append(
                "health_check: { path: /ready?full=1, host: probe.test, interval: 1h, timeout: 60s, expect: [200] }")
        }
        let probe = try stage.upstream.requests(1)[0]
        #expect(probe.head.target == "/ready?full=1")
        #expect(probe["host"] == "probe.test")
        #expect(probe["user-agent"]?.hasPrefix("propagating-proxy-health/") == true)
        #expect(probe["b3"] == "0")
        let name = "propagating_proxy_upstream_health_checks_total"
        #expect(try stage.proxy.metrics { $0[name] == 1 }[name, ["outcome": "passed"]] == 1)
        #expect(try stage.proxy.exchange(request()).status == 200)
        #expect(try stage.collector.spans(2).count == 2)
        #expect(stage.upstream.requests.count == 2)
        #expect(try stage.proxy.metrics()["propagating_proxy_spans_started_total"] == 2)
    }

    struct Fault: CustomTestStringConvertible {
        var testDescription: String
        var reason: String
        /// The first reason alone is logged: a check that is answered must not run out of time.
        var timeout: String { reason == "timed out" ? "300ms" : "60s" }
        var script: @Sendable (UpstreamExchange) throws -> Void
    }

    @Test(
        "A check that gets no proper answer fails, and its reason is in the log",
        arguments: [
            Fault(testDescription: "silence", reason: "timed out") { _ = $0.peer.isClosed(within: 30) },
            Fault(testDescription: "another protocol", reason: "malformed response") { try $0.send("SSH-2.0-x\r\n") },
            Fault(testDescription: "a close", reason: "closed without a response") { $0.close() },
            Fault(testDescription: "a reset", reason: "Connection reset by peer") { $0.reset() },
            Fault(testDescription: "a redirect", reason: "status 302") { try $0.reply(302) },
            Fault(testDescription: "a flood of interim responses", reason: "the response is too large") {
                try $0.send(String(repeating: "HTTP/1.1 102 Processing\r\n\r\n", count: 5000))
            },
            Fault(testDescription: "half a head", reason: "timed out") {
                try $0.send("HTTP/1.1 200 OK\r\nContent-")
                _ = $0.peer.isClosed(within: 30)
            },
        ])
    func faults(_ fault: Fault) throws {
        let stage = try Stage(script: fault.script) {
            $0.upstreams["app"]?.append("health_check: { interval: 50ms, timeout: \(fault.timeout) }")
        }
        #expect(
            stage.proxy.program.waitForOutput { $0.contains("reason=\"\(fault.reason)") },
            "\(stage.proxy.log)")
    }

    @Test("A check that is answered passes, whatever the body: none, long, or without end")
    func bodies() throws {
        let stage = try Stage(script: { exchange in
            try exchange.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
            while true { try exchange.peer.send([UInt8](repeating: 0, count: 1 << 16)) }
        }) {
            $0.upstreams["app"]?.append("health_check: { interval: 20ms, timeout: 60s }")
        }
        let name = "propagating_proxy_upstream_health_checks_total"
        let metrics = try stage.proxy.metrics { $0[name, ["outcome": "passed"]] >= 5 }
        #expect(metrics[name, ["outcome": "passed"]] >= 5)
        #expect(metrics[name, ["outcome": "failed"]] == 0)
        #expect(stage.upstream.waitUntilIdle(connections: 1))
    }

    @Test("A probe whose answer is whole is over, also where the endpoint keeps the connection open")
    func keptOpen() throws {
        let stage = try Stage(script: { try $0.reply(text: "well") }) {
            $0.upstreams["app"]?.append("health_check: { interval: 1h, timeout: 10m }")
        }
        _ = try stage.upstream.requests(1)
        #expect(stage.upstream.waitUntilIdle(), "it waited for its timeout")
    }

    @Test("When all endpoints fail their checks, all are used")
    func panic() throws {
        let group = try EndpointGroup(2, ["health_check: { \(fast) }"]) { number, exchange in
            let isCheck = exchange.head.target == "/healthz"
            try exchange.reply(isCheck ? 503 : 200, fields: ["X-Endpoint: \(number)"])
        }
        for endpoint in 0...1 { #expect(try group.waits(for: "upstream_endpoint_healthy", endpoint, 0)) }
        #expect(try group.comesToUse([0, 1]))
        #expect(try group.waits(until: "upstream_panic", ["upstream": "app"], is: 1))
        #expect(group.proxy.program.waitForOutput { $0.contains("too few endpoints are available") })
    }

    @Test("When all endpoints fail and panic mode is off, the answer is 503 at once and says so")
    func noHealthyUpstream() throws {
        let stage = try Stage(script: { try $0.reply(503) }) {
            $0.upstreams["app"]? += ["panic_threshold: 0", "health_check: { \(fast) }"]
        }
        let healthy = "propagating_proxy_upstream_endpoint_healthy"
        _ = try stage.proxy.metrics { $0[healthy, ["upstream": "app"]] == 0 }
        let response = try stage.proxy.exchange(request())
        #expect(response.status == 503)
        #expect(response.body.text.hasPrefix("no healthy upstream"))
        let metrics = try stage.proxy.metrics()
        #expect(metrics["propagating_proxy_local_replies_total", ["reason": "no_healthy_upstream"]] == 1)
        #expect(stage.upstream.requests.allSatisfy { $0.head.target == "/healthz" })
    }

    @Test("A name that cannot be found does not stop the start; its requests get 503 with the reason dns")
    func names() throws {
        let upstream = try FakeUpstream()
        var text = ConfigurationText(upstream: upstream.address)
        text.upstreams["lost"] = ["endpoints: [\"nowhere.invalid:80\"]"]
        text.routes = ["{ match: { prefix: /lost }, upstream: lost }", "{ upstream: app }"]
        let folder = try TemporaryFolder()
        // Ready only once the name was looked up, which takes as long as the name servers do.
        let proxy = try ProxyProcess(["--config", try folder.write(text.yaml, to: "proxy.yaml")], folder: folder)
        let response = try proxy.exchange(request("GET", "/lost"))
        #expect(response.status == 503)
        #expect(response.body.text.hasPrefix("dns: "))
        #expect(try proxy.exchange(request()).status == 200)
    }
}
