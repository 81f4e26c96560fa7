// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("Forwarding")
struct ForwardingTests {
    @Test(
        "Every method reaches the upstream as it was sent",
        arguments: ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "X-Own"])
    func methods(method: String) throws {
        let stage = try Stage()
        let (response, received) = try stage.forward(request(method, "/a/b?c=d%20e&f"))
        #expect(response.status == 200)
        #expect(received.head.startLine == "\(method) /a/b?c=d%20e&f HTTP/1.1")
    }

    @Test("Fields keep their case, their order and their repetition, in both directions")
    func fields() throws {
        let sent = [
            "X-uPPer: 1", "accept: a", "Accept: b", "x-Empty:", "Cookie: a=1", "cookie: b=2", "Z: caf\u{e9}  x",
        ]
        let replied = ["Set-Cookie: a", "set-cookie: b", "X-B: 1", "x-a: 2", "WWW-Authenticate: Basic realm=\"x, y\""]
        let stage = try Stage { try $0.reply(fields: replied, text: "ok") }
        let (response, received) = try stage.forward(request("GET", "/", sent))
        let own: Set = ["host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id"]
        let seen = received.head.fields.filter {
            !own.contains($0.name.lowercased()) && !$0.name.lowercased().hasPrefix("x-b3-")
        }
        #expect(seen.map(\.name) == ["X-uPPer", "accept", "Accept", "x-Empty", "Cookie", "cookie", "Z"])
        #expect(seen.map(\.value).prefix(6) == ["1", "a", "b", "", "a=1", "b=2"])
        let back = response.head.fields.map(\.description).filter { !$0.lowercased().hasPrefix("content-length") }
        #expect(back == replied)
    }

    @Test("A request without Host goes upstream with exactly one: the route's, the target's or the upstream's")
    func missingHost() throws {
        let stage = try Stage.configured {
            $0.routes = [
                "{ match: { prefix: /new }, rewrite: { host: new.example }, upstream: app }",
                "{ match: { prefix: / }, upstream: app }",
            ]
        }
        func host(_ target: String) throws -> [String] {
            try stage.forward("GET \(target) HTTP/1.0\r\n\r\n").received.head.values("host")
        }
        #expect(try host("/new") == ["new.example"])
        #expect(try host("http://other.example/new") == ["new.example"])
        #expect(try host("http://other.example/") == ["other.example"])
        #expect(try host("/") == ["\(stage.upstream.address)"])
    }

    @Test("Fields of one hop end here: Connection, what it names, Keep-Alive, TE, Proxy-Connection, Upgrade")
    func hopByHop() throws {
        let stage = try Stage {
            try $0.reply(
                fields: ["Connection: X-Reply-Hop", "X-Reply-Hop: 1", "Keep-Alive: timeout=9", "X-Stays: 1"], text: "ok"
            )
        }
        let (response, received) = try stage.forward(
            request(
                "GET", "/",
                [
                    "Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5",
                    "Proxy-Connection: keep-alive",
                    "TE: gzip", "X-Stays: 1",
                ]))
        for name in ["x-hop", "keep-alive", "proxy-connection", "te"] {
            #expect(received.head.values(name).isEmpty, "\(name) went upstream")
        }
        #expect(received["x-stays"] == "1")
        for name in ["x-reply-hop", "keep-alive"] {
            #expect(response.head.values(name).isEmpty, "\(name) came back")
        }
        #expect(response["x-stays"] == "1")
    }

    @Test("Host is kept by default")
    func hostKept() throws {
        let stage = try Stage()
        #expect(
            try stage.forward("GET / HTTP/1.1\r\nHost: Shop.Example:8080\r\n\r\n").received["host"]
                == "Shop.Example:8080")
    }

    @Test("Host is rewritten where the route says so")
    func hostRewritten() throws {
        let stage = try Stage.configured {
            $0.routes = ["{ match: { prefix: / }, rewrite: { host: inner.test }, upstream: app }"]
        }
        let received = try stage.forward(request()).received
        #expect(received["host"] == "inner.test")
        #expect(received["x-forwarded-host"] == "app.test")
    }

    @Test("X-Forwarded-For, -Proto and -Host tell who asked, how and for what")
    func forwarded() throws {
        let stage = try Stage()
        let received = try stage.forward(request()).received
        #expect(received["x-forwarded-for"] == "127.0.0.1")
        #expect(received["x-forwarded-proto"] == "http")
        #expect(received["x-forwarded-host"] == "app.test")
    }

    @Test("Via names us in both directions where it is asked for")
    func via() throws {
        let stage = try Stage.configured { $0.listener = ["via: true"] }
        let (response, received) = try stage.forward(request("GET", "/", ["Via: 1.0 front"]))
        #expect(received.head.values("via").joined(separator: ", ").hasPrefix("1.0 front, 1.1 "))
        #expect(response.head.values("via").joined().hasPrefix("1.1 "))
    }

    @Test("An exact path is rewritten as Istio's tutorial does, and its query stays")
    func rewritePath() throws {
        let stage = try Stage.configured {
            $0.routes = [
                "{ match: { path: / }, rewrite: { path: /productpage }, upstream: app }",
                "{ match: { prefix: / }, upstream: app }",
            ]
        }
        #expect(try stage.forward(request("GET", "/")).received.head.target == "/productpage")
        #expect(try stage.forward(request("GET", "/?u=test")).received.head.target == "/productpage?u=test")
        #expect(try stage.forward(request("GET", "/static/x")).received.head.target == "/static/x")
    }

    @Test("A prefix is replaced and the rest of the path stays")
    func rewritePrefix() throws {
        let stage = try Stage.configured {
            $0.routes = ["{ match: { prefix: /api/ }, rewrite: { prefix: /v2/ }, upstream: app }"]
        }
        #expect(try stage.forward(request("GET", "/api/a/b?c")).received.head.target == "/v2/a/b?c")
    }

    @Test(
        "Routes choose by host, path, regex, method and field; exact wins over prefix, the longer prefix over the shorter"
    )
    func routes() throws {
        let other = try FakeUpstream { try $0.reply(text: "other") }
        let stage = try Stage(script: { try $0.reply(text: "app") }) {
            $0.upstreams["other"] = ["endpoints: [\"\(other.address)\"]"]
            $0.routes = [
                "{ match: { host: other.test, prefix: / }, upstream: other }",
                "{ match: { prefix: / }, upstream: app }",
                "{ match: { prefix: /long }, upstream: other }",
                "{ match: { path: /longer }, upstream: app }",
                "{ match: { prefix: /post, methods: [POST] }, upstream: other }",
                "{ match: { prefix: /canary, headers: [{ name: X-Canary, value: \"yes\" }] }, upstream: other }",
            ]
        }
        func answer(_ text: String) throws -> String { try stage.proxy.exchange(text).body.text }
        #expect(try answer(request("GET", "/short")) == "app")
        #expect(try answer(request("GET", "/long/x")) == "other")
        #expect(try answer(request("GET", "/longer")) == "app")
        #expect(try answer("GET / HTTP/1.1\r\nHost: OTHER.test:80\r\n\r\n") == "other")
        #expect(try answer(request("POST", "/post", body: "")) == "other")
        #expect(try answer(request("GET", "/post")) == "app")
        #expect(try answer(request("GET", "/canary", ["x-canary: yes"])) == "other")
        #expect(try answer(request("GET", "/canary", ["x-canary: no"])) == "app")
    }

    @Test("Several endpoints take turns")
    func roundRobin() throws {
        let second = try FakeUpstream { try $0.reply(text: "second") }
        let stage = try Stage(script: { try $0.reply(text: "first") }) {
            $0.upstreams["app"] = [
                "endpoints: [\"\($0.upstream)\", \"\(second.address)\"]"
            ]
        }
        let answers = try (0..<6).map { _ in try stage.proxy.exchange(request()).body.text }
        #expect(answers.filter { $0 == "first" }.count == 3)
        #expect(answers.filter { $0 == "second" }.count == 3)
    }

    @Test("An endpoint that refuses is passed over for the next one")
    func nextEndpoint() throws {
        let gone = try FakeUpstream()
        gone.stop()
        let stage = try Stage.configured {
            $0.upstreams["app"] = [
                "endpoints: [\"\(gone.address)\", \"\($0.upstream)\"]"
            ]
        }
        for _ in 0..<4 { #expect(try stage.proxy.exchange(request()).status == 200) }
    }

    @Test("A target in absolute form goes to the upstream in origin form, and its host wins")
    func absoluteForm() throws {
        let stage = try Stage()
        let received = try stage.forward("GET http://shop.test/x?y HTTP/1.1\r\nHost: shop.test\r\n\r\n").received
        #expect(received.head.target == "/x?y")
        #expect(received["host"] == "shop.test")
    }

    @Test("A head that arrives byte by byte is forwarded like one that arrives at once")
    func byteByByte() throws {
        let stage = try Stage()
        let peer = try stage.proxy.connect()
        let text = request("POST", "/slow", ["X-A: b", "X-C: d"], body: "hello")
        try peer.send(Array(text.utf8), pieces: 1)
        let response = try peer.receiveResponse()
        #expect(response.body.text == "hello")
        #expect(try stage.upstream.requests(1)[0].head.values("x-a") == ["b"])
    }
}
