// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("TLS towards upstreams")
struct TLSUpstreamTests {
    @Test(
        "Bodies are the same byte for byte and spans are one trace, whatever secures the upstream",
        arguments: Passage.allCases, UpstreamSecurity.allCases)
    func matrix(passage: Passage, security: UpstreamSecurity) throws {
        let stage = try SecureStage(security, by: passage)
        for count in [0, 1, 16_384, 16_385, 1 << 20] {
            let body = Pattern.bytes(count)
            let peer = try stage.proxy.connect()
            try peer.send("POST /\(count) HTTP/1.1\r\nHost: app.test\r\nContent-Length: \(count)\r\n\r\n")
            try peer.send(body)
            let response = try peer.receiveResponse()
            #expect(response.status == 200, "\(stage.proxy.log)")
            #expect(response.body.bytes == body, "\(count)")
        }
        let received = try stage.upstream.requests(5)
        #expect(received.map(\.body.bytes.count) == [0, 1, 16_384, 16_385, 1 << 20])
        let spans = try stage.collector.spans(10)
        for (server, client) in zip(spans.filter { $0.kind == .server }, received) {
            #expect(client["x-b3-traceid"] == server.traceID)
        }
        if let front = stage.front {
            let session = try #require(front.sessions().first)
            #expect(session.version == (security == .tls12 ? "TLSv1.2" : "TLSv1.3"))
            #expect(session.alpn == (passage == .http2 ? "h2" : "http/1.1"))
            #expect(session.name == nil, "an address is no server name (RFC 6066 §3)")
            #expect(session.caller.contains("client") == (security == .mutual))
            #expect(try stage.handshakes("ok") == 1)
        }
    }

    @Test("The CLIENT span says by which TLS and to whom the request went; no name is guessed for an address")
    func spans() throws {
        let stage = try SecureStage(
            .tls12, host: "localhost",
            configure: {
                $0.exporters = [$0.exporters[0].replacing("zipkin: {", with: "zipkin: { profile: otel,")]
            })
        #expect(try stage.proxy.exchange(request()).status == 200)
        let spans = try stage.collector.spans(2)
        let client = try #require(spans.last { $0.kind == .client && $0.tags["error"] == nil })
        #expect(client.tags["tls.protocol.version"] == "1.2")
        #expect(client.tags["tls.client.server_name"] == "localhost")
        #expect(client.tags["url.full"] == "https://app.test/")
        let server = try #require(spans.first { $0.kind == .server })
        #expect(server.tags["tls.protocol.version"] == nil)
        #expect(server.tags["url.scheme"] == "http")
        #expect(stage.front?.sessions().first?.name == "localhost")
    }

    @Test("With server_name, that name is asked for and verified in place of the endpoint's")
    func serverName() throws {
        let stage = try SecureStage(
            certificate: "other", tls: try SecureStage.lines() + ["server_name: other.test"])
        #expect(try stage.proxy.exchange(request()).status == 200)
        #expect(stage.front?.sessions().first?.name == "other.test")
    }

    @Test("One of allowed_names is enough in place of the host's name, and no other is")
    func allowedNames() throws {
        let spiffe = "spiffe://example.test/ns/default/sa/server"
        let allowed = try SecureStage(
            certificate: "server-spiffe", tls: try SecureStage.lines() + ["allowed_names: [\"\(spiffe)\"]"])
        #expect(try allowed.proxy.exchange(request()).status == 200)
        let other = try SecureStage(
            certificate: "server-ecdsa", tls: try SecureStage.lines() + ["allowed_names: [\"\(spiffe)\"]"])
        let response = try other.proxy.exchange(request())
        #expect(response.status == 502)
        #expect(response.body.text == "TLS to the upstream failed: the certificate has none of the allowed names\n")
    }

    @Test("host: rewrite names the upstream without the port of https")
    func authority() throws {
        // Nobody listens on 443 here: what matters is what the configuration makes of it, so another port is compared.
        let stage = try SecureStage(
            host: "localhost", configure: { $0.upstreams["app"]?.append("host: rewrite") })
        #expect(try stage.proxy.exchange(request()).status == 200)
        let port = try #require(stage.front).address.port
        #expect(try stage.upstream.requests(1)[0]["host"] == "localhost:\(port)")
    }

    // MARK: Sessions

    @Test(
        "A second connection to an endpoint resumes the first one's session, by TLS 1.2 and 1.3",
        arguments: [
            UpstreamSecurity.tls12, .tls13, .mutual,
        ])
    func resumption(security: UpstreamSecurity) throws {
        let stage = try SecureStage(security, configure: { $0.upstreams["app"]?.append("max_idle: 0") })
        for _ in 0..<3 { #expect(try stage.proxy.exchange(request()).status == 200) }
        let sessions = try #require(stage.front).sessions(3)
        #expect(sessions.map(\.resumed) == [false, true, true])
        #expect(try stage.handshakes("ok") == 1)
        #expect(try stage.handshakes("resumed") == 2)
    }

    @Test("Without session_resumption every handshake is a full one")
    func noResumption() throws {
        let stage = try SecureStage(
            tls: try SecureStage.lines() + ["session_resumption: false"],
            configure: { $0.upstreams["app"]?.append("max_idle: 0") })
        for _ in 0..<2 { #expect(try stage.proxy.exchange(request()).status == 200) }
        #expect(try stage.handshakes("ok") == 2)
    }

    @Test("Requests on one connection share it, and tickets that come with a response do not end it")
    func keepAlive() throws {
        let stage = try SecureStage()
        for _ in 0..<20 { #expect(try stage.proxy.exchange(request()).status == 200) }
        #expect(stage.upstream.connectionCount == 1)
        #expect(try stage.handshakes("ok") == 1)
    }

    @Test("An idle connection that its peer ends by close_notify costs no request", arguments: Passage.allCases)
    func idleClose(passage: Passage) throws {
        let stage = try SecureStage(by: passage)
        for _ in 0..<3 {
            #expect(try stage.proxy.exchange(request()).status == 200)
            stage.upstream.closeConnections()
            #expect(stage.upstream.waitUntilIdle(within: 30))
        }
        #expect(try stage.proxy.metrics()["propagating_proxy_upstream_errors_total"] == 0)
    }

    @Test("Other authorities in the file of ca count from the next connection on, without the old sessions")
    func reload() throws {
        let folder = try TemporaryFolder()
        let file = "\(folder.path)/ca.pem"
        func trust(_ name: String) throws {
            let content = try String(contentsOfFile: TestCertificates.path(name), encoding: .utf8)
            _ = try folder.write(content, to: "next")
            #expect(rename("\(folder.path)/next", file) == 0)
        }
        try trust("root.pem")
        let stage = try SecureStage(
            tls: ["ca: \"\(file)\""], configure: { $0.upstreams["app"]?.append("max_idle: 0") })
        #expect(try stage.proxy.exchange(request()).status == 200)
        for (reloads, (name, status)) in [("unknown-ca.pem", 502), ("root.pem", 200)].enumerated() {
            try trust(name)
            let reloaded = try stage.proxy.metrics {
                $0["propagating_proxy_tls_reloads_total", ["result": "ok"]] == reloads + 1
            }
            #expect(reloaded["propagating_proxy_tls_reloads_total", ["result": "ok"]] == reloads + 1)
            #expect(try stage.proxy.exchange(request()).status == status)
        }
        #expect(try #require(stage.front).sessions(2).map(\.resumed) == [false, false])
    }

    @Test(
        "A peer that changes its keys while nothing is asked keeps its connection",
        .enabled(if: Tool.find("openssl") != nil),
        arguments: [false, true])
    func keyUpdate(asks: Bool) throws {
        let pair = try TestCertificates.pair("server-ecdsa")
        let server = try RunningProgram(
            try #require(Tool.find("python3")),
            [
                "-u", "-B", "\(Tool.repository)/Tests/IntegrationTests/Cases/tls_key_update.py", "--certificate",
                pair.certificate, "--key", pair.key,
            ] + (asks ? ["--asks"] : []))
        #expect(server.waitForOutput { $0.contains("port ") && $0.contains("\n") })
        let port = try #require(server.output.firstMatch(of: #/port (\d+)/#).flatMap { UInt16($0.1) })
        var text = ConfigurationText(upstream: .ipv4(port: port))
        text.upstreams["app"]?.append(SecureStage.yaml(try SecureStage.lines()))
        let proxy = try ProxyProcess(configuration: text.yaml)
        for number in 1...3 {
            #expect(try proxy.exchange(request()).body.text == "\(number)")
            #expect(server.waitForOutput { $0.contains("changed \(number)") })
        }
        let metrics = try proxy.metrics()
        #expect(metrics["propagating_proxy_upstream_connections_created_total"] == 1, "\(metrics)")
    }

    // MARK: Ends

    @Test(
        "A body that the end of the connection ends is whole with close_notify, and cut without",
        arguments: [
            false, true,
        ])
    func closeDelimited(isCut: Bool) throws {
        let stage = try SecureStage(
            options: isCut ? ["--cut"] : [],
            script: { exchange in
                try exchange.send("HTTP/1.1 200 OK\r\n\r\nthe whole body")
                exchange.close()
            })
        if isCut {
            #expect(throws: SocketError.self) { try stage.proxy.exchange(request()) }
            let client = try #require(try stage.collector.spans(2).first { $0.kind == .client })
            #expect(client.tags["error"] == "connection_reset")
        } else {
            #expect(try stage.proxy.exchange(request()).body.text == "the whole body")
        }
    }

    @Test("A body of known length does not care how the connection ends")
    func knownLength() throws {
        let stage = try SecureStage(
            options: ["--cut"],
            script: { exchange in
                try exchange.reply(text: "whole")
                exchange.close()
            })
        for _ in 0..<2 { #expect(try stage.proxy.exchange(request()).body.text == "whole") }
    }

    @Test("A tunnel goes through TLS both ways")
    func tunnel() throws {
        let stage = try SecureStage(script: { exchange in
            try exchange.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            try exchange.peer.send(exchange.peer.receive(exactly: 5))
            exchange.close()
        })
        let peer = try stage.proxy.connect()
        #expect(try peer.exchange(TunnelTests.asking).status == 101)
        try peer.send("hello")
        #expect(try peer.receive(exactly: 5) == Array("hello".utf8))
        #expect(peer.isClosed(within: 30))
    }
}
