// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("Propagation through the binary")
struct PropagationTests {
    static let trace = "463ac35c9f6413ad48485a3953bb6124"
    static let b3 = [
        "X-B3-TraceId: \(trace)", "X-B3-SpanId: a2fb4a1d1a96d312", "X-B3-ParentSpanId: 0020000000000001",
        "X-B3-Sampled: 1",
    ]

    /// The `x-b3-*` fields of a request, lower-cased names.
    private func b3(_ head: MessageHead) -> [String: String] {
        var found: [String: String] = [:]
        for field in head.fields where field.name.lowercased().hasPrefix("x-b3-") {
            #expect(found[field.name.lowercased()] == nil, "\(field.name) went upstream twice")
            found[field.name.lowercased()] = field.value
        }
        return found
    }

    @Test("A request without a trace starts one: two linked spans, the CLIENT's id upstream")
    func newTrace() throws {
        let stage = try Stage()
        let sent = b3(try stage.forward(request()).received.head)
        let spans = try stage.collector.spans(2)
        let server = try #require(spans.first { $0.kind == .server })
        let client = try #require(spans.first { $0.kind == .client })
        #expect(server.parentID == nil)
        #expect(client.parentID == server.id)
        #expect(server.traceID == client.traceID && server.traceID.count == 32)
        #expect(
            sent == [
                "x-b3-traceid": server.traceID, "x-b3-spanid": client.id, "x-b3-parentspanid": server.id,
                "x-b3-sampled": "1",
            ])
        #expect(server.service == "edge" && client.service == "edge")
        #expect(client.remoteService == "app")
    }

    @Test("A request in a trace continues it: our SERVER is the caller's child")
    func continued() throws {
        let stage = try Stage()
        let sent = b3(try stage.forward(request("GET", "/", Self.b3)).received.head)
        let spans = try stage.collector.spans(2)
        let server = try #require(spans.first { $0.kind == .server })
        let client = try #require(spans.first { $0.kind == .client })
        #expect(server.traceID == Self.trace && server.parentID == "a2fb4a1d1a96d312")
        #expect(client.traceID == Self.trace && client.parentID == server.id)
        #expect(sent["x-b3-spanid"] == client.id && sent["x-b3-traceid"] == Self.trace)
    }

    @Test("The single header is read, and B3 multi is what goes out")
    func single() throws {
        let stage = try Stage()
        let received = try stage.forward(request("GET", "/", ["b3: \(Self.trace)-a2fb4a1d1a96d312-1"])).received
        #expect(b3(received.head)["x-b3-traceid"] == Self.trace)
        #expect(received.head.values("b3").isEmpty)
    }

    @Test("A 64-bit trace id keeps its width")
    func width() throws {
        let stage = try Stage()
        let received = try stage.forward(
            request("GET", "/", ["X-B3-TraceId: 48485a3953bb6124", "X-B3-SpanId: a2fb4a1d1a96d312", "X-B3-Sampled: 1"])
        ).received
        #expect(b3(received.head)["x-b3-traceid"] == "48485a3953bb6124")
        #expect(try stage.collector.spans(2)[0].traceID == "48485a3953bb6124")
    }

    @Test("A caller's deny is obeyed: ids go on, nothing is reported", arguments: ["X-B3-Sampled: 0", "b3: 0"])
    func deny(field: String) throws {
        let stage = try Stage()
        let received = try stage.forward(request("GET", "/denied", [field])).received
        #expect(b3(received.head)["x-b3-sampled"] == "0")
        #expect(b3(received.head)["x-b3-traceid"] != nil)
        // A span that is reported afterwards shows that the denied one was not held back.
        _ = try stage.forward(request("GET", "/allowed"))
        let spans = try stage.collector.spans(2)
        #expect(spans.allSatisfy { $0.tags["http.path"] == "/allowed" })
    }

    @Test("Debug goes on as Flags 1 with Sampled 1, and marks the spans")
    func debug() throws {
        let stage = try Stage.configured { $0.sampling = "{ percent: 0 }" }
        let sent = b3(try stage.forward(request("GET", "/", ["X-B3-Flags: 1"])).received.head)
        #expect(sent["x-b3-flags"] == "1" && sent["x-b3-sampled"] == "1")
        #expect(try stage.collector.spans(2).allSatisfy(\.isDebug))
    }

    @Test("At 0 percent nothing is reported and every request says so upstream")
    func neverSampled() throws {
        let stage = try Stage.configured { $0.sampling = "{ percent: 0 }" }
        for _ in 0..<20 {
            let sent = b3(try stage.forward(request()).received.head)
            #expect(sent["x-b3-sampled"] == "0")
        }
        #expect(stage.proxy.terminate() == 0)
        #expect(stage.collector.posts.isEmpty)
    }

    @Test("Malformed trace fields cost the caller nothing: a new trace, and a count")
    func malformed() throws {
        let stage = try Stage()
        let sent = b3(
            try stage.forward(request("GET", "/", ["X-B3-TraceId: zzz", "X-B3-SpanId: 1 2", "X-B3-ParentSpanId: -"]))
                .received.head)
        #expect(sent["x-b3-traceid"]?.count == 32)
        #expect(sent["x-b3-sampled"] == "1")
        let metrics = try stage.proxy.metrics(until: { $0.description.contains("malformed") })
        #expect(metrics.samples.contains { $0.name.contains("malformed") && $0.value > 0 })
    }

    @Test("The formats to write are configured; each is written once, from the same trace")
    func formats() throws {
        let stage = try Stage.configured {
            $0.propagation = "{ extract: [tracecontext, b3], inject: [b3, tracecontext] }"
        }
        let received = try stage.forward(
            request(
                "GET", "/",
                ["traceparent: 00-\(Self.trace)-a2fb4a1d1a96d312-01", "tracestate: vendor=1", "X-B3-Flags: 0"])
        ).received
        let parent = try #require(received["traceparent"])
        #expect(parent.hasPrefix("00-\(Self.trace)-") && parent.hasSuffix("-01"))
        let client = try #require(try stage.collector.spans(2).first { $0.kind == .client })
        #expect(parent.contains(client.id))
        #expect(received["b3"]?.hasPrefix("\(Self.trace)-\(client.id)-1") == true)
        #expect(received["tracestate"] == "vendor=1")
        #expect(b3(received.head).isEmpty)
    }

    @Test("A listener that trusts nobody starts a new trace and lets no trace field through")
    func trustNone() throws {
        let stage = try Stage.configured { $0.listener = ["trust: none"] }
        let received = try stage.forward(
            request("GET", "/", Self.b3 + ["traceparent: 00-\(Self.trace)-a2fb4a1d1a96d312-01"])
        ).received
        #expect(b3(received.head)["x-b3-traceid"] != Self.trace)
        #expect(received.head.values("traceparent").isEmpty)
    }

    @Test("A listener that trusts ids keeps the trace and decides itself whether to record")
    func trustIDs() throws {
        let stage = try Stage.configured {
            $0.listener = ["trust: ids"]
            $0.sampling = "{ percent: 0 }"
        }
        let sent = b3(try stage.forward(request("GET", "/", Self.b3)).received.head)
        #expect(sent["x-b3-traceid"] == Self.trace && sent["x-b3-sampled"] == "0")
    }

    @Test("Join mode shares the caller's span; single-span mode reports one", arguments: ["join", "single"])
    func modes(mode: String) throws {
        let stage = try Stage.configured {
            $0.mode = mode
            $0.shutdown = "{ drain_delay: 0s, flush: 60s }"
        }
        let sent = b3(try stage.forward(request("GET", "/", Self.b3)).received.head)
        #expect(stage.proxy.terminate() == 0)
        let spans = stage.collector.spans
        let server = try #require(spans.first { $0.kind == .server })
        if mode == "join" {
            #expect(server.id == "a2fb4a1d1a96d312" && server.isShared && server.parentID == "0020000000000001")
            let client = try #require(spans.first { $0.kind == .client })
            #expect(client.parentID == server.id && sent["x-b3-spanid"] == client.id)
        } else {
            #expect(spans.count == 1)
            #expect(server.parentID == "a2fb4a1d1a96d312" && sent["x-b3-parentspanid"] == server.id)
        }
    }

    @Test("A sidecar makes one span a passage, and its id goes upstream", arguments: ["front", "out"])
    func sidecar(listener: String) throws {
        let stage = try Stage.configured {
            $0.mode = "sidecar"
            $0.shutdown = "{ drain_delay: 0s, flush: 60s }"
            $0.listeners = ["out": ["direction: outbound"]]
        }
        #expect(try stage.proxy.exchange(request("GET", "/", Self.b3), listener: listener).status == 200)
        let sent = b3(try #require(stage.upstream.requests(1).first).head)
        let origin = try stage.proxy.exchange(request("GET", "/", ["X-B3-Sampled: 1"]), listener: listener)
        #expect(origin.status == 200)
        #expect(stage.proxy.terminate() == 0)
        let spans = stage.collector.spans
        #expect(spans.count == 2)
        let span = try #require(spans.first { $0.parentID != nil })
        #expect(span.kind == (listener == "out" ? .client : .server))
        #expect(span.parentID == "a2fb4a1d1a96d312" && !span.isShared)
        #expect(sent["x-b3-spanid"] == span.id && sent["x-b3-parentspanid"] == span.parentID)
        let root = try #require(spans.first { $0.parentID == nil })
        #expect(b3(try stage.upstream.requests(2)[1].head)["x-b3-spanid"] == root.id)
    }

    @Test("A sidecar whose upstream cannot be reached says so in its one span", arguments: ["front", "out"])
    func sidecarWithoutUpstream(listener: String) throws {
        let stage = try Stage.configured {
            $0.mode = "sidecar"
            $0.shutdown = "{ drain_delay: 0s, flush: 60s }"
            $0.listeners = ["out": ["direction: outbound"]]
            $0.upstreams = ["app": ["endpoints: [\"127.0.0.1:1\"]"]]
        }
        #expect(try stage.proxy.exchange(request(), listener: listener).status == 503)
        #expect(stage.proxy.terminate() == 0)
        let spans = stage.collector.spans
        #expect(spans.count == 1)
        #expect(spans.first?.kind == (listener == "out" ? .client : .server))
        #expect(spans.first?.tags["error"] != nil)
    }

    @Test("x-request-id is minted when absent, and kept when present")
    func requestID() throws {
        let stage = try Stage()
        let minted = try #require(try stage.forward(request()).received["x-request-id"])
        #expect(minted.count == 36 && minted.filter { $0 == "-" }.count == 4)
        #expect(try stage.forward(request("GET", "/", ["X-Request-Id: mine-1"])).received["x-request-id"] == "mine-1")
    }

    @Test(
        "Health paths are forwarded with a denied trace, and not reported",
        arguments: ["/healthz", "/health", "/ready"])
    func health(path: String) throws {
        let stage = try Stage()
        #expect(b3(try stage.forward(request("GET", path)).received.head)["x-b3-sampled"] == "0")
        #expect(stage.proxy.terminate() == 0)
        #expect(stage.collector.spans.isEmpty)
    }

    @Test("Posts of spans to a collector behind the proxy are not traced; reading from it is")
    func reports() throws {
        let stage = try Stage()
        for path in ["/api/v1/spans", "/x@y/api/v2/spans", "/v1/traces", "/x/api/otlp/traces"] {
            #expect(b3(try stage.forward(request("POST", path, body: "")).received.head)["x-b3-sampled"] == "0")
            #expect(b3(try stage.forward(request("GET", path)).received.head)["x-b3-sampled"] == "1")
        }
    }

    @Test("A route's own sampling wins over the percentage and over the caller")
    func routeSampling() throws {
        let stage = try Stage.configured {
            $0.sampling = "{ percent: 0 }"
            $0.routes = [
                "{ match: { prefix: /always }, sampling: always, upstream: app }",
                "{ match: { prefix: /never }, sampling: never, upstream: app }",
            ]
        }
        #expect(b3(try stage.forward(request("GET", "/always")).received.head)["x-b3-sampled"] == "1")
        #expect(b3(try stage.forward(request("GET", "/never", Self.b3)).received.head)["x-b3-sampled"] == "0")
    }

    @Test("Trace fields named in Connection are ours to write, not the caller's to remove")
    func nominated() throws {
        let stage = try Stage()
        let received = try stage.forward(
            request("GET", "/", Self.b3 + ["Connection: X-B3-TraceId, X-B3-SpanId, X-B3-Sampled"])
        ).received
        #expect(b3(received.head)["x-b3-traceid"] == Self.trace)
    }

    @Test("Each attempt at the upstream is a CLIENT span of its own under one SERVER")
    func attempts() throws {
        let gone = try FakeUpstream()
        gone.stop()
        let stage = try Stage.configured {
            $0.upstreams["app"] = ["endpoints: [\"\(gone.address)\", \"\($0.upstream)\"]"]
        }
        let sent = b3(try stage.forward(request()).received.head)
        let spans = try stage.collector.spans(3)
        let server = try #require(spans.first { $0.kind == .server })
        let clients = spans.filter { $0.kind == .client }
        #expect(clients.count == 2 && Set(clients.map(\.id)).count == 2)
        #expect(clients.allSatisfy { $0.parentID == server.id })
        #expect(clients.filter { $0.tags["error"] != nil }.count == 1)
        #expect(clients.contains { $0.id == sent["x-b3-spanid"] && $0.tags["error"] == nil })
        #expect(server.tags["error"] == nil)
    }
}
