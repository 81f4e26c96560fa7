// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("Ends of connections over TLS", .enabled(if: TLSCaller.isThere, TLSCaller.whyNot))
struct TLSEndTests {
    @Test("A response that ends its connection ends with close_notify", arguments: ["1.2", "1.3"])
    func graceful(version: String) throws {
        let stage = try Stage.secured()
        let told = try TLSCaller.speak(["--version", version], to: stage.proxy)[0]
        #expect(told.received?.hasPrefix("HTTP/1.1 200 ") == true && told.end == "close_notify")
    }

    @Test("A response that its upstream cuts never ends with close_notify")
    func cutResponse() throws {
        let stage = try Stage.secured(script: { exchange in
            try exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            exchange.close()
        })
        let told = try TLSCaller.speak(to: stage.proxy)[0]
        #expect(told.end == "reset" || told.end == "cut")
    }

    @Test(
        "A caller that has ended its direction still gets its answer, with close_notify and without",
        arguments: ["half", "cut"])
    func halfClosed(end: String) throws {
        let stage = try Stage.secured(script: { exchange in
            _ = try exchange.body()
            usleep(200_000)
            try exchange.reply(text: "late")
        })
        for version in ["1.2", "1.3"] {
            let told = try TLSCaller.speak(["--version", version, "--end", end], to: stage.proxy)[0]
            #expect(told.received?.hasSuffix("\r\n\r\nlate") == true && told.end == "close_notify", "\(told)")
        }
    }

    @Test(
        "A request body that ends without close_notify, or with it, never reaches the upstream as whole",
        arguments: ["half", "cut", "reset"])
    func cutRequest(end: String) throws {
        let stage = try Stage.secured()
        let post = #"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf"#
        _ = try TLSCaller.speak(["--request", post, "--end", end, "--wait", "2"], to: stage.proxy)
        let metrics = try stage.proxy.metrics {
            $0["propagating_proxy_tls_handshakes_total"] == 1 && $0["propagating_proxy_downstream_connections"] == 0
        }
        #expect(metrics["propagating_proxy_downstream_connections"] == 0)
        if end != "reset" {  // which may overtake the request itself
            let server = try #require(try stage.collector.spans(2).first { $0.kind == .server })
            #expect(server.tags["proxy.reason"] == "client_closed")
            try stage.upstream.waitForHeads()
        }
        #expect(stage.upstream.waitUntilIdle(within: 30))
        #expect(stage.upstream.requests.allSatisfy { !$0.isComplete })
    }

    @Test("A caller that leaves an idle connection without close_notify is no failure")
    func quietEnd() throws {
        let stage = try Stage.secured()
        let get = #"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"#
        for end in ["cut", "half", "reset"] {
            _ = try TLSCaller.speak(["--request", get, "--end", end, "--wait", "1"], to: stage.proxy)
        }
        let metrics = try stage.proxy.metrics { $0["propagating_proxy_downstream_connections"] == 0 }
        #expect(metrics["propagating_proxy_downstream_connections"] == 0)
        #expect(stage.proxy.terminate() == 0)  // what it had to say is written by then
        #expect(!stage.proxy.log.contains("WARN  TLS") && !stage.proxy.log.contains("handshake failed"))
    }

    @Test("A WebSocket's tunnel carries bytes both ways, and its end is a close_notify")
    func tunnel() throws {
        let stage = try Stage.secured(script: { exchange in
            try exchange.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            try exchange.peer.send(exchange.peer.receive(exactly: 5))
            exchange.close()
        })
        let asked =
            #"GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"#
            + #"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nhello"#
        let told = try TLSCaller.speak(["--request", asked], to: stage.proxy)[0]
        #expect(told.received?.hasPrefix("HTTP/1.1 101 ") == true && told.received?.hasSuffix("\r\n\r\nhello") == true)
        #expect(told.end == "close_notify")
    }

    @Test("A reset behind the frames of an HTTP/2 request ends it within two seconds or so")
    func hiddenReset() throws {
        let isOver = Observed(false)
        defer { isOver.change { $0 = true } }
        // Nobody answers, nor runs out of time, before the reset is found.
        let stage = try Stage.secured(script: { exchange in
            _ = try exchange.body()
            isOver.wait(seconds: 300) { $0 }
        })
        let get =
            #"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"#
            + #"\0\0\x0e\1\5\0\0\0\1\x82\x87\x84\x41\x09localhost"#
        for _ in 0..<5 {
            let told = try TLSCaller.speak(
                ["--alpn", "h2", "--request", get, "--end", "reset", "--pause", "0.2"], to: stage.proxy)
            #expect(told[0].alpn == "h2")
        }
        let metrics = try stage.proxy.metrics { $0["propagating_proxy_downstream_connections"] == 0 }
        #expect(metrics["propagating_proxy_downstream_connections"] == 0)
        #expect(metrics["propagating_proxy_tls_handshakes_total", ["result": "ok"]] == 5)
    }

    @Test(
        "A graceful stop ends idle connections with close_notify, and HTTP/2 ones with GOAWAY before it",
        arguments: ["http/1.1", "h2"])
    func stop(spoken: String) throws {
        let stage = try Stage.secured()
        let asked =
            spoken == "h2"
            ? #"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0\0"#
            : #"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"#
        let proxy = stage.proxy
        let caller = try RunningProgram(
            try #require(Tool.python),
            [
                "-B", "\(Tool.repository)/Tests/IntegrationTests/Cases/tls_caller.py", "\(proxy.address())",
                "--ca", TestCertificates.anchors, "--alpn", spoken, "--request", asked,
            ])
        let metrics = try proxy.metrics { $0["propagating_proxy_tls_handshakes_total"] == 1 }
        #expect(metrics["propagating_proxy_tls_handshakes_total", ["result": "ok"]] == 1)
        usleep(200_000)
        #expect(proxy.terminate() == 0)
        #expect(caller.waitForExit() == 0, "\(caller.output)")
        let told = try JSONDecoder().decode([TLSCaller.Told].self, from: Data(caller.output.utf8))[0]
        #expect(told.end == "close_notify")
        if spoken == "h2" {
            // A frame of type 7 on stream 0.
            let bytes = Array((told.received ?? "").unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) })
            let isGoAway = (3..<max(3, bytes.count - 5)).contains {
                bytes[$0] == 7 && bytes[$0 + 2..<$0 + 6].allSatisfy { $0 == 0 }
            }
            #expect(isGoAway)
        }
    }
}
