// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// One worker with 256 pages of 4 KiB for its buffers; responses whose heads do not end take ten of them each,
/// and their requests one.
@Suite("Overload")
struct OverloadTests {
    private static let pagesOfOne = 11
    /// The responses that are held come only once all their requests have been let in.
    private let mayFill = Observed(false)

    private func stage(_ script: @escaping FakeUpstream.Script = FakeUpstream.echo) throws -> Stage {
        let mayFill = mayFill
        return try Stage(
            script: { exchange in
                guard exchange.head.target == "/hold" else { return try script(exchange) }
                mayFill.wait(seconds: 600) { $0 }
                let head = "HTTP/1.1 200 OK\r\nX: "
                try exchange.send(head + String(repeating: "x", count: (Self.pagesOfOne - 1) * 4096 - head.utf8.count))
                _ = exchange.peer.isClosed(within: 600)
                exchange.close()
            },
            configure: {
                $0.further = ["limits: { buffers: 1MiB }"]
                $0.listener = ["timeouts: { request_body_idle: 10m, request_body_rate: 0 }"]
                $0.upstreams["app"]?.append("timeouts: { response: 10m }")
            })
    }

    /// Holds about so many pages until the peers are reset.
    private func hold(pages: Int, on stage: Stage) throws -> [Peer] {
        let heads = stage.upstream.requests.count
        let peers = try (0..<pages / Self.pagesOfOne).map { _ in
            let peer = try stage.proxy.connect()
            try peer.send(request("GET", "/hold"))
            return peer
        }
        try stage.upstream.waitForHeads(heads + peers.count)
        mayFill.change { $0 = true }
        let held = peers.count * Self.pagesOfOne
        let metrics = try stage.proxy.metrics {
            $0["propagating_proxy_buffer_bytes"] >= held * 4096
                && $0["propagating_proxy_buffers"] >= 2 * peers.count
        }
        let bytes = metrics["propagating_proxy_buffer_bytes"]
        #expect((held * 4096...(held + 8) * 4096).contains(bytes), "\(bytes / 4096) pages")
        return peers
    }

    private func balance(_ metrics: Metrics) -> Bool {
        metrics["propagating_proxy_spans_started_total"] == metrics["propagating_proxy_spans_exported_total"]
            + metrics["propagating_proxy_spans_dropped_total"] + metrics["propagating_proxy_spans_queued"]
    }

    @Test("At 70 % of the buffers spans are dropped and counted, and requests are served as ever")
    func spans() throws {
        let stage = try stage()
        #expect(try stage.proxy.exchange(request()).status == 200)
        let held = try hold(pages: 187, on: stage)
        let peer = try stage.proxy.connect()
        for _ in 0..<5 { #expect(try peer.exchange(request())["connection"] == nil) }
        // The last response is here before its spans are counted.
        let metrics = try stage.proxy.metrics {
            $0["propagating_proxy_overload_stage"] == 1
                && $0["propagating_proxy_spans_dropped_total", ["reason": "overload"]] == 10
        }
        #expect(metrics["propagating_proxy_overload_stage"] == 1)
        #expect(metrics["propagating_proxy_spans_dropped_total", ["reason": "overload"]] == 10)
        #expect(metrics["propagating_proxy_spans_started_total"] == 12, "those of the held requests are still to come")
        #expect(balance(metrics))
        for peer in held { peer.reset() }
        _ = try stage.proxy.metrics { $0["propagating_proxy_overload_stage"] == 0 }
        #expect(try peer.exchange(request()).status == 200)
        // How many of the held requests ended before there was room again, nobody knows.
        let total = 2 + 10 + 2 * held.count + 2
        let after = try stage.proxy.metrics {
            $0["propagating_proxy_spans_started_total"] == total && $0["propagating_proxy_spans_queued"] == 0
        }
        #expect(after["propagating_proxy_spans_started_total"] == total)
        #expect(balance(after))
        let exported = total - after["propagating_proxy_spans_dropped_total", ["reason": "overload"]]
        #expect(exported >= 4, "those of the first request and of the last")
        #expect(try stage.collector.spans(exported).count == exported)
    }

    @Test("At 80 % connections end after their response, and idle ones at once")
    func keepAlive() throws {
        let stage = try stage()
        let idle = try stage.proxy.connect()
        #expect(try idle.exchange(request()).status == 200)
        let held = try hold(pages: 209, on: stage)
        let peer = try stage.proxy.connect()
        let response = try peer.exchange(request())
        #expect(response.status == 200)
        #expect(response["connection"] == "close")
        #expect(peer.isClosed())
        #expect(idle.isClosed())
        let metrics = try stage.proxy.metrics { $0["propagating_proxy_overload_stage"] == 2 }
        #expect(metrics["propagating_proxy_overload_stage"] == 2)
        #expect(metrics["propagating_proxy_overload_connections_ended_total"] >= 2)
        #expect(stage.proxy.program.waitForOutput { $0.contains("buffers run short") })
        _ = held
    }

    @Test("At 90 % new requests are 503 with the reason, and so are heads that have begun; then all is well again")
    func requests() throws {
        let stage = try stage()
        let held = try hold(pages: 242, on: stage)
        for _ in 0..<3 {
            let response = try stage.proxy.exchange(request("POST", "/", body: "x"))
            #expect(response.status == 503)
            #expect(response.body.text == "this proxy is overloaded\n")
            #expect(response["connection"] == "close")
        }
        #expect(stage.upstream.requests.allSatisfy { $0.head.method == "GET" })
        let metrics = try stage.proxy.metrics { $0["propagating_proxy_overload_stage"] == 3 }
        #expect(metrics["propagating_proxy_local_replies_total", ["reason": "overload"]] == 3)
        #expect(balance(metrics))
        let begun = try stage.proxy.connect()
        try begun.send("GET / HT")
        #expect(try begun.receiveResponse().status == 503)
        for peer in held { peer.reset() }
        let after = try stage.proxy.metrics {
            $0["propagating_proxy_buffer_bytes"] == 0 && $0["propagating_proxy_buffers"] == 0
        }
        #expect(after["propagating_proxy_buffer_bytes"] == 0 && after["propagating_proxy_buffers"] == 0)
        #expect(try stage.proxy.exchange(request()).status == 200)
    }

    @Test("A body passes whole while buffers are nearly used up")
    func bodyUnderPressure() throws {
        let go = Observed(false)
        let stage = try stage { exchange in
            go.wait(seconds: 600) { $0 }
            try exchange.reply(body: exchange.body().bytes)
        }
        let body = Pattern.bytes(3_000_000)
        let peer = try stage.proxy.connect()
        peer.timeout = 120
        try peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.count)\r\n\r\n")
        try stage.upstream.waitForHeads()
        let held = try hold(pages: 242, on: stage)
        Thread.detachNewThread {
            try? peer.send(body)
        }
        go.change { $0 = true }
        #expect(try peer.receiveResponse().body.bytes == body)
        _ = held
    }
}

/// A shell sets the limit of open files; the proxy cannot raise it.
@Suite("Out of file descriptors")
struct DescriptorTests {
    private func start(limit: Int, _ text: ConfigurationText) throws -> ProxyProcess {
        let folder = try TemporaryFolder()
        let file = try folder.write(text.yaml, to: "proxy.yaml")
        return try ProxyProcess(
            program: "/bin/sh", ["-c", "ulimit -n \(limit); exec \"$0\" --config \"$1\"", ProxyProcess.binary, file],
            folder: folder)
    }

    @Test("Connections that the limit of open files has no room for are refused at the start, with both numbers")
    func refusedAtStart() throws {
        for line in ["limits: { connections: 500 }", "max_connections: 500"] {
            var text = ConfigurationText(upstream: .ipv4(port: 9))
            if line.hasPrefix("limits") { text.further = [line] } else { text.listener = [line] }
            let proxy = try start(limit: 400, text)
            #expect(proxy.program.waitForExit() == 1)
            #expect(proxy.log.contains("is 500, but the limit of 400 open files leaves room for 168"), "\(proxy.log)")
        }
    }

    @Test("The soft limit of open files is raised to the hard one")
    func raised() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write(ConfigurationText(upstream: .ipv4(port: 9)).yaml, to: "proxy.yaml")
        let proxy = try ProxyProcess(
            program: "/bin/sh", ["-c", "ulimit -Sn 50; exec \"$0\" --config \"$1\"", ProxyProcess.binary, file],
            folder: folder)
        try proxy.waitUntilReady()
        let limits = try String(contentsOfFile: "/proc/\(proxy.program.pid)/limits", encoding: .utf8)
        let words = try #require(limits.split(separator: "\n").first { $0.hasPrefix("Max open files") })
            .split(separator: " ")
        #expect(words[3] == words[4] && words[3] != "50", "\(words)")
    }

    @Test("Out of descriptors, callers are refused without a spinning processor, and served again once there are some")
    func accept() throws {
        let upstream = try FakeUpstream()
        let proxy = try start(limit: 34, ConfigurationText(upstream: upstream.address))
        try proxy.waitUntilReady()
        let admin = try proxy.connect(to: "admin")
        try admin.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        _ = try admin.receiveResponse()
        var peers: [Peer] = []
        let before = proxy.program.cpuSeconds
        let start = ContinuousClock.now
        while ContinuousClock.now - start < .seconds(3) || peers.count < 60 {
            peers.append(try proxy.connect())
            usleep(30_000)
        }
        let (used, took) = (proxy.program.cpuSeconds - before, (ContinuousClock.now - start) / .seconds(1))
        #expect(used < took / 3, "\(used) s of \(took) s")
        var deadline = ContinuousClock.now + .seconds(30)
        while !peers.contains(where: { $0.isClosed(within: 0.01) }), ContinuousClock.now < deadline {}
        #expect(ContinuousClock.now < deadline, "nobody was refused")
        for peer in peers { peer.close() }
        deadline = ContinuousClock.now + .seconds(60)
        var served = false
        while !served, ContinuousClock.now < deadline {
            served = (try? proxy.exchange(request()).status) == 200
        }
        #expect(served)
        let metrics = try proxy.metrics {
            $0["propagating_proxy_downstream_connections_refused_total", ["reason": "descriptors"]] > 0
        }
        #expect(metrics["propagating_proxy_downstream_connections_refused_total", ["reason": "descriptors"]] > 0)
        _ = proxy.program.waitForOutput { $0.contains("out of file descriptors") }
        let lines = proxy.log.split(separator: "\n").filter { $0.contains("out of file descriptors") }
        let most = 2 + Int((ContinuousClock.now - start) / .seconds(10))
        #expect((1...most).contains(lines.count), "\(lines)")
        #expect(proxy.terminate() == 0)
    }

    @Test("No descriptor for an upstream connection is 503 with the reason, and no fault of the upstream")
    func upstream() throws {
        let upstream = try FakeUpstream()
        var text = ConfigurationText(upstream: upstream.address)
        text.routes = ["{ match: { prefix: /app }, upstream: app }"]
        let proxy = try start(limit: 100, text)
        try proxy.waitUntilReady()
        let peer = try proxy.connect()
        #expect(try peer.exchange(request("GET", "/app")).status == 200)
        let deadline = ContinuousClock.now + .seconds(30)
        var refused: Response
        repeat {
            upstream.closeConnections()
            #expect(try peer.exchange(request()).status == 404, "by now the worker has seen that end")
            // From now on no number is free below the limit, unless an admin connection has been on its way out.
            let left = try openFiles(of: proxy)
            try limit(proxy, to: (0...).first { !left.contains($0) } ?? 0)
            refused = try peer.exchange(request("GET", "/app"))
            try limit(proxy, to: 100)
        } while refused.status == 200 && ContinuousClock.now < deadline
        #expect(refused.status == 503 && refused.body.text == "this proxy is out of file descriptors\n")
        #expect(try peer.exchange(request("GET", "/app")).status == 200)
        let metrics = try proxy.metrics()
        #expect(metrics["propagating_proxy_local_replies_total", ["reason": "out_of_descriptors"]] == 1)
        #expect(metrics["propagating_proxy_upstream_errors_total", ["reason": "out_of_descriptors"]] == 0)
        #expect(metrics["propagating_proxy_upstream_errors_total", ["reason": "connect_failed"]] == 0)
    }

    private func openFiles(of proxy: ProxyProcess) throws -> Set<Int> {
        Set(try FileManager.default.contentsOfDirectory(atPath: "/proc/\(proxy.program.pid)/fd").compactMap { Int($0) })
    }

    private func limit(_ proxy: ProxyProcess, to count: Int) throws {
        let tool = try RunningProgram(
            "/usr/bin/prlimit", ["--pid", "\(proxy.program.pid)", "--nofile=\(count):100"])
        #expect(tool.waitForExit() == 0)
    }
}
