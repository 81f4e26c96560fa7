// SPDX-License-Identifier: Apache-2.0
import EventLoop
import TestSupport
import Testing

@testable import PropagatingProxy

@Suite("Admin listener", .serialized)
struct AdminTests {
    private func get(_ stage: AdminStage, _ path: String, host: String = "localhost", method: String = "GET") throws
        -> String
    {
        try stage.exchange("\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\n\r\n")
    }

    @Test("/ready, /live and /metrics answer, and the connection closes after each")
    func paths() throws {
        let stage = try AdminStage()
        let ready = try get(stage, "/ready")
        #expect(ready.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(ready.contains("\r\nConnection: close\r\n"))
        #expect(ready.contains("\r\nContent-Length: 6\r\n"))
        #expect(ready.hasSuffix("\r\n\r\nready\n"))
        #expect(try get(stage, "/live").hasSuffix("\r\n\r\nlive\n"))
        let metrics = try get(stage, "/metrics?x=1")
        #expect(metrics.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"))
        #expect(metrics.hasSuffix("\r\n\r\npage 1\n"))
        #expect(try get(stage, "/metrics").hasSuffix("page 2\n"), "made anew for each scrape")
    }

    @Test("While draining, /ready answers 503 and /live still 200")
    func draining() throws {
        let stage = try AdminStage(isReady: false)
        let ready = try get(stage, "/ready")
        #expect(ready.hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
        #expect(ready.hasSuffix("\r\n\r\ndraining\n"))
        #expect(try get(stage, "/live").hasPrefix("HTTP/1.1 200 "))
    }

    @Test("HEAD gets the head of GET and no body")
    func head() throws {
        let stage = try AdminStage()
        let reply = try get(stage, "/ready", method: "HEAD")
        #expect(reply.contains("\r\nContent-Length: 6\r\n"))
        #expect(reply.hasSuffix("\r\n\r\n"))
    }

    @Test(
        "Everything else is refused",
        arguments: [
            ("GET /quitquitquit HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
            ("GET /READY HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
            ("GET /ready/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
            ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
            ("POST /ready HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405),
            ("DELETE /ready HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
            ("TRACE /ready HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
            ("GET /ready HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 400),
            ("GET /ready HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            ("GET /ready HTTP/1.1\r\n\r\n", 400),
            ("\u{16}\u{3}\u{1}", 400),
            ("GET /ready HTTP/1.1\r\nHost: localhost\r\nX: \(String(repeating: "a", count: 9000))\r\n\r\n", 431),
            ("GET /\(String(repeating: "a", count: 3000)) HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        ])
    func refused(request: String, status: Int) throws {
        let reply = try AdminStage().exchange(request)
        #expect(reply.hasPrefix("HTTP/1.1 \(status) "), "\(reply)")
        if status == 405 { #expect(reply.contains("\r\nAllow: GET, HEAD\r\n")) }
    }

    @Test(
        "A Host that a page in a browser could own is refused, unless remote callers are allowed",
        arguments: [
            ("localhost:9901", true), ("127.0.0.1:9901", true), ("[::1]:9901", true), ("[::1]", true),
            ("10.0.0.7:9901", true), ("evil.test", false), ("localhost.evil.test", false),
            ("127.0.0.1.evil.test", false),
            ("evil.test:9901", false), ("127.1", false),
        ])
    func rebinding(host: String, isAllowed: Bool) throws {
        let stage = try AdminStage()
        #expect(try get(stage, "/metrics", host: host).hasPrefix(isAllowed ? "HTTP/1.1 200 " : "HTTP/1.1 403 "))
        let open = try AdminStage(allowsRemote: true)
        #expect(try get(open, "/metrics", host: host).hasPrefix("HTTP/1.1 200 "))
    }

    @Test("A request is served byte by byte, and after the caller has ended its direction")
    func split() throws {
        let stage = try AdminStage()
        let peer = try stage.peer()
        try peer.send(Array("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8), pieces: 1)
        #expect(String(decoding: try peer.receiveToEnd(), as: UTF8.self).hasSuffix("ready\n"))
        let half = try stage.peer()
        try half.send("GET /ready HTTP/1.0\r\n\r\n")
        half.closeWriting()
        #expect(String(decoding: try half.receiveToEnd(), as: UTF8.self).hasSuffix("ready\n"))
    }

    @Test("A page larger than the socket's buffers arrives whole")
    func largePage() throws {
        let stage = try AdminStage(pageBytes: 20_000_000)
        let peer = try stage.peer()
        try peer.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let reply = try peer.receiveToEnd()
        #expect(reply.suffix(20_000_000).allSatisfy { $0 == UInt8(ascii: "#") })
        #expect(reply.count > 20_000_000)
    }

    @Test("Connections above 64 are closed, and served again once others have gone")
    func limit() throws {
        let stage = try AdminStage()
        var idle: [Peer] = []
        for _ in 0..<64 { idle.append(try stage.peer()) }
        #expect(try stage.peer().isClosed())
        #expect(idle.allSatisfy { $0.isSilent(for: 0) })
        for peer in idle { peer.close() }
        idle = []
        var reply = ""
        for _ in 0..<100 where reply.isEmpty { reply = (try? get(stage, "/live")) ?? "" }
        #expect(reply.hasSuffix("live\n"))
    }
}

/// An ``AdminServer`` on a thread of its own.
private final class AdminStage {
    private let listener: SharedDescriptor
    private let thread: SystemThread
    private let bell: Bell

    init(isReady: Bool = true, allowsRemote: Bool = false, pageBytes: Int? = nil) throws {
        // The type's name alone is ambiguous here, and its module cannot qualify it.
        let listener = try #require(try Listening.open(.init(literal: "127.0.0.1", port: 0)!, count: 1).first)
        self.listener = listener
        let started = Started()
        let running = try Doorbell()
        thread = try SystemThread(name: "admin") {
            guard let loop = try? EventLoop(), let stop = try? WakeUp(on: loop, action: { loop.stop() }) else { return }
            var pages = 0
            let server = try? AdminServer(
                listener, on: loop, allowsRemote: allowsRemote, ready: { isReady },
                metrics: {
                    pages += 1
                    return pageBytes.map { [UInt8](repeating: UInt8(ascii: "#"), count: $0) }
                        ?? Array("page \(pages)\n".utf8)
                })
            started.bell.withLock { $0 = stop.bell }
            running.ring()
            loop.run()
            server?.stop()
        }
        running.wait(milliseconds: 60_000)
        bell = try #require(started.bell.withLock { $0 })
    }

    func peer() throws -> Peer {
        let port = try #require(listener.address?.port)
        return try Peer(to: .ipv4(port: port))
    }

    func exchange(_ request: String) throws -> String {
        let peer = try peer()
        try peer.send(request)
        return String(decoding: try peer.receiveToEnd(), as: UTF8.self)
    }

    deinit {
        bell.ring()
        thread.join()
    }
}

/// Hands the bell of the new thread's loop back.
private final class Started: Sendable {
    let bell = Locked<Bell?>(nil)
}
