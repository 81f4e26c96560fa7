// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("Ejection of endpoints that requests fail at")
struct EjectionTests {
    @Test("Five 5xx in a row eject an endpoint; it returns when its time is over")
    func ejection() throws {
        // A long ejection is looked at while it lasts, a short one when it is over.
        let ejected = try EndpointGroup(2, ["outlier_detection: { base_ejection: 10m, interval: 20ms }"]) {
            try $1.reply($0 == 1 ? 500 : 200, fields: ["X-Endpoint: \($0)"])
        }
        #expect(try ejected.statuses(10).filter { $0 == 500 }.count == 5)
        #expect(try Set(ejected.ask(10)) == [0])
        let gauge = "upstream_endpoint_ejected"
        #expect(try ejected.metric(gauge, ["endpoint": "\(ejected.endpoints[1].address)"]) == 1)

        let failures = Observed(5)
        let group = try EndpointGroup(2, ["outlier_detection: { base_ejection: 500ms, interval: 20ms }"]) {
            let fails =
                $0 == 1
                && failures.change { left in
                    defer { left = max(0, left - 1) }
                    return left > 0
                }
            try $1.reply(fails ? 500 : 200, fields: ["X-Endpoint: \($0)"])
        }
        #expect(try group.statuses(10).filter { $0 == 500 }.count == 5)
        #expect(try group.waits(until: "upstream_ejections_total", is: 1))
        #expect(try group.waits(for: "upstream_endpoint_ejected", 1, 0))
        #expect(try group.comesToUse([0, 1]))
        #expect(try group.metric("upstream_ejections_total", ["reason": "consecutive_5xx"]) == 1)
        let line = "endpoint is ejected upstream=app endpoint=\(group.endpoints[1].address)"
        #expect(group.proxy.program.waitForOutput { $0.contains(line) })
    }

    @Test("Failures are counted over all workers together")
    func workers() throws {
        let group = try EndpointGroup(1, workers: 4, ["outlier_detection: {}"]) { try $1.reply(503) }
        _ = try group.statuses(4)
        #expect(try group.metric("upstream_ejections_total") == 0)
        _ = try group.statuses(1)
        #expect(try group.waits(until: "upstream_ejections_total", is: 1))
        #expect(try group.statuses(1) == [503], "one endpoint alone is used also while it is out")
    }

    @Test("A good answer in between keeps an endpoint in")
    func mixed() throws {
        let count = Observed(0)
        let group = try EndpointGroup(1, ["outlier_detection: {}"]) {
            try $1.reply(
                count.change {
                    $0 += 1; return $0
                } % 5 == 0 ? 404 : 500)
        }
        _ = try group.statuses(40)
        #expect(try group.metric("upstream_ejections_total") == 0)
    }

    @Test("An endpoint that refuses connections is ejected, and no request fails for it")
    func refused() throws {
        let group = try EndpointGroup(2, ["outlier_detection: { max_ejection_percent: 50, base_ejection: 10m }"])
        group.endpoints[1].stop()
        #expect(try group.statuses(40).allSatisfy { $0 == 200 })
        #expect(try group.metric("upstream_ejections_total", ["reason": "consecutive_connect_failures"]) == 1)
        #expect(try group.metric("upstream_errors_total", ["reason": "connect_failed"]) == 5)
    }

    @Test("Resets, malformed responses and timeouts count as failures")
    func kinds() throws {
        let silent = "{ match: { path: /silent }, upstream: app, timeouts: { response: 300ms } }"
        let group = try EndpointGroup(1, ["outlier_detection: {}"], routes: [silent]) { _, exchange in
            switch exchange.head.target {
            case "/reset": exchange.reset()
            case "/garbage": try exchange.send("garbage\r\n\r\n")
            case "/silent": _ = exchange.peer.isClosed(within: 60)
            case "/500": try exchange.reply(500)
            default: exchange.close()
            }
        }
        for (path, status) in [("/reset", 502), ("/garbage", 502), ("/silent", 504), ("/500", 500), ("/close", 502)] {
            #expect(try group.proxy.exchange(request("GET", path)).status == status)
        }
        #expect(try group.waits(until: "upstream_ejections_total", is: 1))
    }

    @Test("Of two failing endpoints one is ejected and one is kept, and that is counted")
    func share() throws {
        let group = try EndpointGroup(4, ["outlier_detection: { base_ejection: 10m }"]) {
            try $1.reply($0 < 2 ? 500 : 200)
        }
        _ = try group.statuses(60)
        let metrics = try group.proxy.metrics()
        #expect(metrics["propagating_proxy_upstream_endpoint_ejected"] == 1)
        #expect(metrics["propagating_proxy_upstream_ejections_refused_total"] > 0)
    }

    @Test("How many requests an endpoint is busy with is in the metrics")
    func active() throws {
        let go = Observed(false)
        let group = try EndpointGroup(2) { number, exchange in
            go.wait(seconds: 60) { $0 }
            try EndpointGroup.tell(number, exchange)
        }
        let peers = try (0..<4).map { _ in try group.proxy.connect() }
        for peer in peers { try peer.send(request()) }
        for endpoint in 0...1 { #expect(try group.waits(for: "upstream_endpoint_active_requests", endpoint, 2)) }
        go.change { $0 = true }
        for peer in peers { #expect(try peer.receiveResponse().status == 200) }
        for endpoint in 0...1 { #expect(try group.waits(for: "upstream_endpoint_active_requests", endpoint, 0)) }
    }
}
