// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Faults 16, 19, 22, 23 and 29 of docs/conformance.md: what the machine around the proxy does to it.
@Suite("Faults of the machine")
struct NeighbourFaultTests {
    // MARK: 16, stopping

    @Test("An exchange that has not ended when the grace is over is cut, its spans say so, and the exit is clean")
    func graceEnds() throws {
        let stage = try Stage(
            script: { _ = $0.peer.isClosed(within: 600) },
            configure: {
                $0.shutdown = "{ drain_delay: 100ms, grace: 300ms, flush: 60s }"
                $0.upstreams["app"]?.append("timeouts: { response: 10m }")
            })
        let peer = try stage.proxy.connect()
        try peer.send(request())
        try stage.upstream.waitForHeads()
        #expect(stage.proxy.terminate() == 0)
        #expect(try stage.collector.spans(2).allSatisfy { $0.tags["error"] != nil })
    }

    // MARK: 19, death

    /// The configuration's unix sockets lie in the folder.
    private func files(_ folder: TemporaryFolder, _ upstream: SocketAddress) throws -> (
        file: String, front: SocketAddress, admin: SocketAddress
    ) {
        let (front, admin) = (
            SocketAddress.unix(path: "\(folder.path)/front"), SocketAddress.unix(path: "\(folder.path)/admin")
        )
        var text = ConfigurationText(upstream: upstream)
        text.address = "\(front)"
        let yaml = text.yaml.replacing("127.0.0.1:0\" }", with: "\(admin)\" }")
        return (try folder.write(yaml, to: "proxy.yaml"), front, admin)
    }

    private func isReady(_ admin: SocketAddress, within seconds: Double = 40) -> Bool {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while .now < deadline {
            let ready = "GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            if (try? Peer(to: admin).exchange(ready).status) == 200 { return true }
            usleep(2000)
        }
        return false
    }

    @Test("A proxy that was killed is back within a second, on its unix socket and with nothing to repair")
    func killedOnUnixSocket() throws {
        let upstream = try FakeUpstream()
        let folder = try TemporaryFolder()
        let (file, front, admin) = try files(folder, upstream.address)
        for _ in 0..<2 {
            let start = ContinuousClock.now
            let proxy = try ProxyProcess(["--config", file], folder: folder)
            #expect(isReady(admin), "\(proxy.log)")
            #expect(ContinuousClock.now - start < .seconds(30), "promised within 1 s")
            #expect(try Peer(to: front).exchange(request()).status == 200)
            proxy.program.kill()
        }
    }

    @Test("A proxy that was killed under load gets its port back at once, connections of its former life or not")
    func killedOnPort() throws {
        let address = try SocketAddress.reserved()
        let stage = try Stage.configured { $0.address = "\(address)" }
        let peers = try (0..<20).map { _ in try stage.proxy.connect() }
        for peer in peers { #expect(try peer.exchange(request()).status == 200) }
        stage.proxy.program.kill()
        var text = ConfigurationText(upstream: stage.upstream.address)
        text.address = "\(address)"
        let again = try ProxyProcess(configuration: text.yaml)
        #expect(try again.exchange(request()).status == 200)
    }

    @Test(
        "A crash ends the process at once, so that it can be started again",
        arguments: [SIGSEGV, SIGILL, SIGTRAP, SIGABRT])
    func crash(signal: Int32) throws {
        let stage = try Stage()
        #expect(try stage.proxy.exchange(request()).status == 200)
        stage.proxy.program.signal(signal)
        // Under a sanitizer the signal is its own.
        let status = stage.proxy.program.waitForExit(seconds: 60)
        #expect(isSanitized ? status != nil : status == -signal)
    }

    // MARK: 22, log and disk

    /// A shell's redirection; `exec` makes the proxy the child itself.
    private func serves(_ redirection: String, _ folder: TemporaryFolder) throws {
        let upstream = try FakeUpstream()
        let (file, front, admin) = try files(folder, upstream.address)
        let program = try RunningProgram(
            "/bin/sh", ["-c", "exec \(ProxyProcess.binary) --config \(file) --log-level debug \(redirection)"])
        #expect(isReady(admin))
        for _ in 0..<200 { #expect(try Peer(to: front).exchange(request()).status == 200) }
        program.signal(SIGTERM)
        #expect(program.waitForExit(seconds: 60) == 0)
    }

    @Test("A stderr that is full and read by nobody holds up no request and no stop")
    func blockedLog() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/log"
        #expect(unsafe mkfifo(path, 0o600) == 0)
        let reader = unsafe open(path, O_RDWR | O_NONBLOCK)
        defer { close(reader) }
        let piece = [UInt8](repeating: 10, count: 4096)
        while unsafe write(reader, piece, piece.count) > 0 {}
        try serves("2> \(path)", folder)
    }

    @Test(
        "A full disk under the log holds up no request and no stop", .enabled(if: unsafe access("/dev/full", W_OK) == 0)
    )
    func fullDisk() throws {
        try serves("> /dev/full 2>&1", TemporaryFolder())
    }

    @Test("No body is ever written to a file")
    func noFiles() throws {
        let stage = try Stage { exchange in
            try exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            exchange.peer.timeout = 1
            while true { try exchange.peer.send(Pattern.bytes(1 << 16)) }
        }
        let peer = try stage.proxy.connect()
        try peer.send(request())
        _ = try peer.receiveHead()
        #expect(stage.upstream.waitUntilIdle())
        let folder = "/proc/\(stage.proxy.program.pid)/fd"
        let open = try FileManager.default.contentsOfDirectory(atPath: folder).compactMap {
            try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\($0)")
        }
        #expect(open.count > 5)
        #expect(open.filter { $0.hasPrefix("/") && !$0.hasPrefix("/dev/") } == [])
    }

    // MARK: 23, the clock

    /// For a library that goes between the proxy and its clock; a binary that somebody named may be linked statically.
    private static let compiler =
        ProcessInfo.processInfo.environment["PROPAGATING_PROXY"] == nil
        ? Tool.find("cc") ?? Tool.find("clang") : nil

    /// The wall clock goes back by an hour and forth again at every look.
    private static let shim = """
        #define _GNU_SOURCE
        #include <stdatomic.h>
        #include <sys/syscall.h>
        #include <time.h>
        #include <unistd.h>
        static atomic_int looks;
        int clock_gettime(clockid_t clock, struct timespec *time) {
            int status = (int)syscall(SYS_clock_gettime, clock, time);
            if (clock == CLOCK_REALTIME && atomic_fetch_add(&looks, 1) % 2) time->tv_sec -= 3600;
            return status;
        }
        """

    @Test(
        "A wall clock that steps to and fro makes no negative duration, no span before its parent and no timeout early or late",
        .enabled(if: compiler != nil && !isSanitized, "needs a C compiler and a binary that is linked dynamically"))
    func clockSteps() throws {
        let folder = try TemporaryFolder()
        let (source, library) = (try folder.write(Self.shim, to: "clock.c"), "\(folder.path)/clock.so")
        let (status, output) = try Tool.run(Self.compiler ?? "", ["-shared", "-fPIC", "-O1", "-o", library, source])
        try #require(status == 0, "\(output)")
        let upstream = try FakeUpstream { exchange in
            if exchange.head.target == "/silent" { _ = exchange.peer.isClosed(within: 600) }
            try exchange.reply(text: "fine")
        }
        let collector = try FakeCollector()
        var text = ConfigurationText(upstream: upstream.address)
        text.exporters = ["zipkin: { endpoint: \"\(collector.url("/api/v2/spans"))\", encoding: v2-json }"]
        text.routes = [
            "{ match: { path: /silent }, timeouts: { response: 700ms }, upstream: app }", "{ upstream: app }",
        ]
        let proxy = try ProxyProcess(configuration: text.yaml, environment: ["LD_PRELOAD": library])
        let start = ContinuousClock.now
        var count = 0
        repeat {  // the workers look at the wall clock once a second
            for _ in 0..<100 {
                #expect(try proxy.exchange(request()).status == 200)
                usleep(5000)
            }
            count += 100
            _ = try collector.spans(2 * count)
        } while try !hasStepped(collector.posts) && ContinuousClock.now - start < .seconds(30)
        let silence = ContinuousClock.now
        #expect(try proxy.exchange(request("GET", "/silent")).status == 504)
        #expect((.seconds(0.6)...(.seconds(30))).contains(ContinuousClock.now - silence))
        _ = try collector.spans(2 * (count + 1))
        try expectSensibleTimes(collector.posts)
        #expect(try hasStepped(collector.posts))
    }

    private func spans(_ posts: [FakeUpstream.Received]) throws -> [[String: Any]] {
        try posts.flatMap { try JSONSerialization.jsonObject(with: Data($0.body.bytes)) as? [[String: Any]] ?? [] }
    }

    private func hasStepped(_ posts: [FakeUpstream.Received]) throws -> Bool {
        let servers = try spans(posts).filter { $0["kind"] as? String == "SERVER" }
        let starts = servers.compactMap { $0["timestamp"] as? Int }
        return (starts.max() ?? 0) - (starts.min() ?? 0) > 3_000_000_000
    }

    private func expectSensibleTimes(_ posts: [FakeUpstream.Received]) throws {
        var servers: [String: (start: Int, end: Int)] = [:]
        var clients: [String: (start: Int, end: Int)] = [:]
        for span in try spans(posts) {
            let start = try #require(span["timestamp"] as? Int)
            let duration = try #require(span["duration"] as? Int)
            #expect((1...60_000_000).contains(duration), "\(span)")
            let trace = try #require(span["traceId"] as? String)
            if span["kind"] as? String == "SERVER" {
                servers[trace] = (start, start + duration)
            } else {
                clients[trace] = (start, start + duration)
            }
        }
        #expect(servers.count == clients.count && servers.count > 10)
        for (trace, client) in clients {
            let server = try #require(servers[trace])
            #expect(client.start >= server.start && client.end <= server.end, "\(server), \(client)")
        }
    }

    // MARK: 29, the port

    @Test(
        "A port in use ends the start within a second, with 1, the listener's name, its address and the reason",
        arguments: ["front", "admin"])
    func portInUse(listener: String) throws {
        let taken = try FakeUpstream()
        var text = ConfigurationText(upstream: .ipv4(port: 9))
        if listener == "front" { text.address = "\(taken.address)" }
        var yaml = text.yaml
        if listener == "admin" { yaml = yaml.replacing("127.0.0.1:0\" }", with: "\(taken.address)\" }") }
        let folder = try TemporaryFolder()
        let start = ContinuousClock.now
        let proxy = try ProxyProcess(["--config", folder.write(yaml, to: "proxy.yaml")], folder: folder)
        #expect(proxy.program.waitForExit() == 1)
        #expect(ContinuousClock.now - start < .seconds(30), "promised within 1 s")
        for word in [listener, "\(taken.address)", "Address already in use"] {
            #expect(proxy.log.contains(word), "\(proxy.log)")
        }
    }
}
