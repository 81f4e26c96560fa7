// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("Upstream faults")
struct FaultTests {
    @Test("A connect that nothing answers is given up after a second; another endpoint gets the request, or it is 503")
    func blackHole() throws {
        let hole = try FullListener()
        let alone = try Stage.configured {
            $0.upstreams["app"] = ["endpoints: [\"\(hole.address)\"]", "timeouts: {}"]
        }
        let start = ContinuousClock.now
        #expect(try alone.proxy.exchange(request()).status == 503)
        let took = ContinuousClock.now - start
        #expect(took >= .seconds(1) && took < .seconds(30), "the kernel would try for two minutes: \(took)")
        let spans = try alone.collector.spans(2)
        #expect(spans.allSatisfy { $0.tags["error"] == "connect_timeout" }, "\(spans)")
        let other = try Stage.configured {
            $0.upstreams["app"] = ["endpoints: [\"\(hole.address)\", \"\($0.upstream)\"]", "timeouts: {}"]
        }
        for _ in 0..<2 { #expect(try other.proxy.exchange(request()).status == 200) }
    }

    @Test("A connection that ends in the middle of a response head is 502", arguments: [false, true])
    func endMidHead(isReset: Bool) throws {
        let stage = try Stage { exchange in
            try exchange.send("HTTP/1.1 200 OK\r\nContent-Le")
            if isReset { exchange.reset() } else { exchange.close() }
        }
        #expect(try stage.proxy.exchange(request()).status == 502)
        #expect(stage.upstream.requests.count == 1)
    }

    @Test("An upstream that takes the request and says nothing is 504 at the response timeout")
    func silence() throws {
        let stage = try Stage(
            script: { exchange in _ = exchange.peer.isClosed(within: 600) },
            configure: { $0.upstreams["app"]?.append("timeouts: { response: 500ms }") })
        let start = ContinuousClock.now
        #expect(try stage.proxy.exchange(request()).status == 504)
        let took = ContinuousClock.now - start
        #expect(took >= .milliseconds(500) && took < .seconds(30), "\(took)")
        #expect(stage.upstream.waitUntilIdle())
        #expect(try stage.collector.spans(2).allSatisfy { $0.tags["error"] == "timeout" })
    }

    @Test(
        "A response that is no HTTP is 502, and no byte of it reaches the caller",
        arguments: [
            "garbage", "garbage\r\n\r\n", "<html>hello</html>", "\u{16}\u{3}\u{1}\u{0}\u{5}", "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/2 200\r\n\r\n", "\r\n\r\n", "SSH-2.0-x\r\n",
        ])
    func garbage(text: String) throws {
        let stage = try Stage { exchange in
            try exchange.send(text)
            exchange.close()
        }
        let response = try stage.proxy.exchange(request())
        #expect(response.status == 502)
        #expect(response.body.text.hasPrefix("the upstream"))
    }

    @Test("A reset in the middle of a body ends the caller's connection, and both spans tell")
    func resetMidBody() throws {
        let stage = try Stage { exchange in
            try exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
            exchange.reset()
        }
        #expect(throws: SocketError.self) { try stage.proxy.exchange(request()) }
        #expect(try stage.collector.spans(2).allSatisfy { $0.tags["error"] != nil })
    }

    @Test("A body that drips flows at once, and its span is as long as it took")
    func drip() throws {
        let stage = try Stage { exchange in
            try exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
            for _ in 0..<20 {
                try exchange.send(".")
                usleep(10_000)
            }
        }
        #expect(try stage.proxy.exchange(request()).body.text == String(repeating: ".", count: 20))
        #expect(try stage.collector.spans(2).allSatisfy { $0.durationMicroseconds >= 180_000 })
    }

    @Test("An upstream that stops in the middle of a body is given up after the idle time")
    func stalledBody() throws {
        let stage = try Stage(
            script: { exchange in
                try exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf")
                _ = exchange.peer.isClosed(within: 600)
                exchange.close()
            },
            configure: { $0.upstreams["app"]?.append("timeouts: { idle: 500ms }") })
        let peer = try stage.proxy.connect()
        try peer.send(request())
        do {
            _ = try peer.receiveResponse()
            Issue.record("a body cut short was shown as whole")
        } catch SocketError.closed {
        } catch SocketError.failed(_, ECONNRESET) {
        }
    }

    @Test("A flood of interim responses is cut off with 502")
    func interimFlood() throws {
        let stage = try Stage { exchange in
            try exchange.send(String(repeating: "HTTP/1.1 102 Processing\r\n\r\n", count: 5000))
            try exchange.reply(text: "late")
        }
        let response = try stage.proxy.exchange(request())
        #expect(response.status == 502)
        #expect(response.interim.count <= 100)
    }

    @Test("An early answer to a large upload arrives, and the upload is not read to its end")
    func earlyAnswer() throws {
        let stage = try Stage { exchange in
            try exchange.send("HTTP/1.1 413 Too Big\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
            exchange.close()
        }
        let peer = try stage.proxy.connect()
        try peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n")
        // Whoever answers early may also close before all is sent.
        do { try peer.send(Pattern.bytes(900_000)) } catch SocketError.failed {}
        #expect(try peer.receiveResponse().status == 413)
    }

    @Test("After an early answer the upload is read for a second or 64 KiB, and then the connection ends")
    func earlyAnswerCloses() throws {
        let stage = try Stage(
            script: { exchange in
                try exchange.reply(401, text: "who?")
                _ = exchange.peer.isClosed(within: 600)
                exchange.close()
            },
            configure: { $0.listener = ["timeouts: { request_body_idle: 10m, request_body_rate: 0 }"] })
        let peer = try stage.proxy.connect()
        try peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nbegun")
        let response = try peer.receiveResponse()
        #expect(response.status == 401 && response["connection"]?.lowercased() == "close")
        #expect(peer.isClosed())
        #expect(stage.upstream.waitUntilIdle())
    }

    /// How much the kernel may hold between two ends that stand still: two receive buffers that grew to `tcp_rmem`'s 32 MiB
    /// and two send buffers of 4 MiB, and some.
    private static let kernelMost = 100 << 20

    @Test("A reader that stops is felt by the upstream when the kernel's buffers are full, and costs no memory")
    func stoppedReader() throws {
        let sent = Observed(0)
        let stage = try Stage { exchange in
            try exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n")
            exchange.peer.timeout = 1
            let piece = Pattern.bytes(1 << 16)
            while true {
                try exchange.peer.send(piece)
                sent.change { $0 += piece.count }
            }
        }
        let before = stage.proxy.program.residentKiB
        let peer = try stage.proxy.connect()
        peer.limitReceiveBuffer(to: 1 << 16)
        try peer.send(request())
        // The upstream gives up when one piece has not gone for a second.
        _ = try peer.receiveHead()
        #expect(stage.upstream.waitUntilIdle())
        #expect(sent.current > 0 && sent.current < Self.kernelMost, "\(sent.current) bytes went")
        #expect(stage.proxy.program.residentKiB - before < 1024 || isSanitized)
    }

    @Test(
        "An upstream that stops reading is felt by the caller when the kernel's buffers are full, and costs no memory")
    func stoppedUpstream() throws {
        let go = Observed(false)
        let stage = try Stage { exchange in
            go.wait(seconds: 30) { $0 }
            exchange.reset()
        }
        let before = stage.proxy.program.residentKiB
        let peer = try stage.proxy.connect()
        peer.timeout = 1
        try peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 268435456\r\n\r\n")
        let piece = Pattern.bytes(1 << 16)
        var sent = 0
        #expect(throws: SocketError.self) {
            while sent < 2 * Self.kernelMost {
                try peer.send(piece)
                sent += piece.count
            }
        }
        #expect(sent < Self.kernelMost, "\(sent) bytes went")
        #expect(stage.proxy.program.residentKiB - before < 1024 || isSanitized)
        go.change { $0 = true }
    }

    @Test("Connections that the upstream's kernel took and nobody serves cost no request once it is back")
    func ghosts() throws {
        let stage = try Stage()
        let address = stage.upstream.address
        for _ in 0..<3 { #expect(try stage.proxy.exchange(request()).status == 200) }
        stage.upstream.stop()
        #expect([502, 503].contains(try stage.proxy.exchange(request()).status))
        let back = try FakeUpstream(on: address)
        for _ in 0..<5 { #expect(try stage.proxy.exchange(request()).status == 200) }
        #expect(back.requests.count == 5)
    }
}
