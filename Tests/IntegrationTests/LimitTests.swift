// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("Limits on connections")
struct LimitTests {
    private func refused(_ stage: Stage) throws -> Int {
        let name = "propagating_proxy_downstream_connections_refused_total"
        return try stage.proxy.metrics()[name, ["reason": "connection_limit"]]
    }

    private func fillAndOverflow(_ stage: Stage) throws {
        let first = try stage.proxy.connect()
        let second = try stage.proxy.connect()
        #expect(try first.exchange(request()).status == 200)
        #expect(try second.exchange(request()).status == 200)
        let third = try stage.proxy.connect()
        #expect(third.isClosed())
        let name = "propagating_proxy_downstream_connections_refused_total"
        _ = try stage.proxy.metrics { $0[name] > 0 }
        #expect(try refused(stage) == 1)
        #expect(try first.exchange(request()).status == 200)
        first.close()
        // The proxy learns of the end in its own time.
        _ = try stage.proxy.metrics { $0["propagating_proxy_downstream_connections"] == 1 }
        #expect(try stage.proxy.exchange(request()).status == 200)
        #expect(try refused(stage) == 1)
    }

    @Test("A connection beyond limits.connections is closed at once and counted; one that ends makes room")
    func process() throws {
        try fillAndOverflow(Stage.configured { $0.further = ["limits: { connections: 2 }"] })
    }

    @Test("A connection beyond a listener's max_connections is closed at once and counted; one that ends makes room")
    func listener() throws {
        try fillAndOverflow(Stage.configured { $0.listener = ["max_connections: 2"] })
    }

    @Test("A full listener leaves the others alone")
    func otherListener() throws {
        let stage = try Stage.configured {
            $0.listener = ["max_connections: 1", "timeouts: { request_head: 60s }"]
            $0.routes = [
                "{ upstream: app }\n  - name: back\n    address: \"127.0.0.1:0\"\n    routes:\n      - { upstream: app }"
            ]
        }
        let only = try stage.proxy.connect()
        #expect(try only.exchange(request()).status == 200)
        #expect(try stage.proxy.connect().isClosed())
        for _ in 0..<3 { #expect(try stage.proxy.exchange(request(), listener: "back").status == 200) }
    }
}
