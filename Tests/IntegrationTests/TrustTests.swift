// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// 127.0.0.1 calls; the listener `edge` trusts only somebody else.
@Suite("Trust by the caller's address")
struct TrustTests {
    private static let outsiders = "trusted_cidrs: [\"10.0.0.0/8\", \"::1/128\", unix]"

    private func edge(_ lines: [String] = [], _ configure: (inout ConfigurationText) -> Void = { _ in }) throws -> Stage
    {
        try Stage.configured {
            $0.listener = [Self.outsiders] + lines
            configure(&$0)
        }
    }

    private func b3(_ further: String...) -> [String] {
        ["X-B3-TraceId: 463ac35c9f6413ad48485a3953bb6124", "X-B3-SpanId: a2fb4a1d1a96d312"] + further
    }

    @Test("An outsider's debug flag forces nothing and goes no further; its trace id stays")
    func debug() throws {
        let stage = try edge { $0.sampling = "{ percent: 0 }" }
        let received = try stage.forward(request("GET", "/", b3("X-B3-Flags: 1"))).received
        #expect(received["x-b3-traceid"] == "463ac35c9f6413ad48485a3953bb6124")
        #expect(received["x-b3-flags"] == nil)
        #expect(received["x-b3-sampled"] == "0")
        let name = "propagating_proxy_outsider_wishes_total"
        #expect(try stage.proxy.metrics()[name, ["outcome": "debug_dropped"]] == 1)
    }

    @Test("Outsiders that want to be recorded are, up to the cap; beyond it our own sampler decides")
    func wishes() throws {
        let stage = try edge(["outsider_sampled_per_second: 3"]) { $0.sampling = "{ percent: 0 }" }
        let states = try (0..<40).map { _ in
            try stage.forward(request("GET", "/", b3("X-B3-Sampled: 1"))).received["x-b3-sampled"]
        }
        #expect(states.prefix(3) == ["1", "1", "1"])
        let metrics = try stage.proxy.metrics()
        let name = "propagating_proxy_outsider_wishes_total"
        #expect(metrics[name, ["outcome": "granted"]] == states.count { $0 == "1" })
        #expect(metrics[name, ["outcome": "capped"]] == states.count { $0 == "0" })
        #expect(states.count { $0 == "0" } > 0)
    }

    @Test("An outsider's request id is replaced, also a good one")
    func requestID() throws {
        let received = try edge().forward(request("GET", "/", ["X-Request-Id: mine", "x-request-id: two"])).received
        #expect(received.head.values("x-request-id").count == 1)
        #expect(received["x-request-id"]?.count == 36)
    }

    @Test(
        "What an outsider says about the request's way is overwritten or dropped, whatever the policy",
        arguments: ["append", "overwrite", "off"])
    func forwarded(policy: String) throws {
        let said = [
            "X-Forwarded-For: 1.2.3.4", "x-forwarded-for: 5.6.7.8", "X-Forwarded-Proto: https",
            "X-Forwarded-Host: bank.test", "X-Forwarded-Port: 443", "x-FORWARDED-prefix: /x", "Forwarded: for=1.2.3.4",
            "X-Forwarded: kept",
        ]
        let received = try edge(["forwarded_headers: \(policy)"]).forward(request("GET", "/", said)).received
        #expect(received["x-forwarded-for"] == (policy == "off" ? nil : "127.0.0.1"))
        #expect(received["x-forwarded-proto"] == (policy == "off" ? nil : "http"))
        #expect(received["x-forwarded-host"] == (policy == "off" ? nil : "app.test"))
        for name in ["x-forwarded-port", "x-forwarded-prefix", "forwarded"] { #expect(received[name] == nil) }
        #expect(received["x-forwarded"] == "kept")
    }

    @Test("A caller within the networks is believed as before")
    func insider() throws {
        let stage = try Stage.configured { $0.listener = ["trusted_cidrs: [127.0.0.0/8]"] }
        let said = b3("X-B3-Flags: 1") + ["X-Forwarded-For: 1.2.3.4", "Forwarded: for=1.2.3.4", "X-Request-Id: mine"]
        let received = try stage.forward(request("GET", "/", said)).received
        #expect(received["x-b3-flags"] == "1")
        #expect(received["x-forwarded-for"] == "1.2.3.4, 127.0.0.1")
        #expect(received["forwarded"] == "for=1.2.3.4")
        #expect(received["x-request-id"] == "mine")
    }

    @Test("Callers of a unix socket are trusted where the list says unix, and IPv6 ones by their block")
    func otherFamilies() throws {
        let folder = try TemporaryFolder()
        for (list, kept) in [("[unix]", true), ("[\"0.0.0.0/0\"]", false)] {
            let stage = try Stage.configured {
                $0.address = "unix:\(folder.path)/\(kept).sock"
                $0.listener = ["trusted_cidrs: \(list)"]
            }
            let peer = try Peer(to: .unix(path: "\(folder.path)/\(kept).sock"))
            _ = try peer.exchange(request("GET", "/", ["X-Request-Id: mine"]))
            #expect((try stage.upstream.requests(1)[0]["x-request-id"] == "mine") == kept)
        }
        let six = try edge { $0.address = "[::1]:0" }
        #expect(try six.forward(request("GET", "/", ["X-Request-Id: mine"])).received["x-request-id"] == "mine")
    }

    @Test("A request sent again on a fresh connection says the same about its outsider")
    func replayed() throws {
        let dying = Observed(false)
        let stage = try Stage(
            script: { exchange in
                if dying.change({ flag in
                    defer { flag = false }; return flag
                }) {
                    exchange.close()
                } else {
                    try exchange.reply(text: "ok")
                }
            },
            configure: {
                $0.listener = [Self.outsiders]
                $0.upstreams["app"]?.append("timeouts: { pool_idle: 10m }")
            })
        #expect(try stage.proxy.exchange(request()).status == 200)
        dying.change { $0 = true }
        let said = b3("X-B3-Flags: 1") + ["X-Forwarded-For: 1.2.3.4"]
        #expect(try stage.proxy.exchange(request("GET", "/", said)).status == 200)
        for received in stage.upstream.requests.suffix(2) {
            #expect(received["x-forwarded-for"] == "127.0.0.1")
            #expect(received["x-b3-flags"] == nil)
        }
    }

    @Test("X-Forwarded-For goes on with at most 20 entries, the oldest cut, over one line or many")
    func longList() throws {
        let stage = try Stage()
        let entries = (1...40).map { "10.0.0.\($0)" }
        let wanted = (entries.suffix(19) + ["127.0.0.1"]).joined(separator: ", ")
        for size in [40, 7, 1] {
            let lines = stride(from: 0, to: 40, by: size).map {
                "X-Forwarded-For: " + entries[$0..<min($0 + size, 40)].joined(separator: ", ")
            }
            #expect(try stage.forward(request("GET", "/", lines)).received["x-forwarded-for"] == wanted)
        }
        let exact = "X-Forwarded-For: " + entries.suffix(19).joined(separator: ", ")
        #expect(try stage.forward(request("GET", "/", [exact])).received["x-forwarded-for"] == wanted)
    }

    @Test("Trace fields and the request id do not pass in trailers, in either direction")
    func trailers() throws {
        let stage = try Stage { exchange in
            _ = try exchange.body()
            try exchange.send(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nb3: 1\r\nX-Sum: 1\r\n\r\n")
        }
        let peer = try stage.proxy.connect()
        try peer.send(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
                + "X-B3-TraceId: 463ac35c9f6413ad\r\nX-Sum: 2\r\ntraceparent: 1\r\nx-request-id: 3\r\n\r\n")
        let response = try peer.receiveResponse()
        #expect(response.body.trailers.map(\.name) == ["X-Sum"])
        #expect(try stage.upstream.requests(1)[0].body.trailers.map(\.name) == ["X-Sum"])
    }
}

@Suite("Requests in circles")
struct LoopTests {
    /// The upstream is a unix socket whose file is swapped for the listener's own, as no configuration check can see.
    @Test("A proxy whose upstream turns out to be itself answers 508 after 10 rounds")
    func circle() throws {
        let folder = try TemporaryFolder()
        let first = try Stage.configured {
            $0.address = "unix:\(folder.path)/in.sock"
            $0.upstreams["app"] = ["endpoints: [\"unix:\(folder.path)/./in.sock\"]"]
        }
        let peer = try Peer(to: .unix(path: "\(folder.path)/in.sock"))
        #expect(try peer.exchange(request()).status == 508)
        let metrics = try first.proxy.metrics()
        #expect(metrics["propagating_proxy_local_replies_total", ["reason": "loop_detected"]] == 1)
        #expect(metrics["propagating_proxy_upstream_connections_created_total"] <= 10)
    }

    @Test("Ten of our names in Via are a loop, nine are passed on")
    func via() throws {
        let stage = try Stage()
        func via(_ count: Int) -> [String] {
            ["Via: " + [String](repeating: "1.1 propagating-proxy", count: count).joined(separator: ", ")]
        }
        #expect(try stage.proxy.exchange(request("GET", "/", via(9))).status == 200)
        let peer = try stage.proxy.connect()
        #expect(try peer.exchange(request("GET", "/", via(10))).status == 508)
        #expect(try peer.exchange(request()).status == 200)
        let span = try #require(try stage.collector.spans(5).first { $0.tags["http.status_code"] == "508" })
        #expect(span.tags["error"] != nil)
    }
}
