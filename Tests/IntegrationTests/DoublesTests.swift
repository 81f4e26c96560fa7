// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// The doubles themselves: what they say about the proxy is worth no more than this.
@Suite("Test doubles")
struct DoublesTests {
    @Test("An upstream without a script gives every body back, on one connection")
    func echo() throws {
        let upstream = try FakeUpstream()
        let peer = try Peer(to: upstream.address)
        let body = Pattern.bytes(200_000)
        try peer.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.count)\r\n\r\n")
        try peer.send(body, pieces: 7001)
        #expect(try peer.receiveResponse().body.bytes == body)
        let chunked = try peer.exchange(
            "POST /b HTTP/1.1\r\nhost: b\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n")
        #expect(chunked.body.text == "abc")
        let requests = try upstream.requests(2)
        #expect(upstream.connectionCount == 1)
        #expect(requests[0]["host"] == "a")
        #expect(requests[1].head.fields.map(\.name) == ["host", "Transfer-Encoding"])
        #expect(requests[1].body.trailers.map(\.description) == ["T: 1"])
    }

    @Test("A double that is stopped again leaves alone whoever has its descriptor by then")
    func stoppedTwice() throws {
        for _ in 0..<20 {
            let first = try FakeUpstream()
            first.stop()
            while let peer = try? Peer(to: first.address) { peer.close() }
            // Descriptors are numbered from the lowest free one: this is likely to be the first one's.
            let second = try FakeUpstream()
            first.stop()
            #expect(try Peer(to: second.address).exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
        }
    }

    @Test("The pattern sees a byte that is lost")
    func pattern() {
        var pattern = Pattern()
        let bytes = Pattern.bytes(300_000)
        pattern.check(Array(bytes[..<100_001]))
        #expect(pattern.firstDifference == nil)
        pattern.check(Array(bytes[100_002...]))
        #expect(pattern.firstDifference == 100_001)
    }

    @Test("A program's output, exit status and signal are seen")
    func program() throws {
        let (status, output) = try Tool.run("/bin/sh", ["-c", "echo out; echo err >&2; exit 7"])
        #expect(status == 7)
        #expect(output.contains("out\n") && output.contains("err\n"))
        let sleeping = try RunningProgram("/bin/sleep", ["100"])
        #expect(sleeping.residentKiB > 0)
        sleeping.signal(15)
        #expect(sleeping.waitForExit() == -15)
    }

    @Test("A collector reads the spans it is posted, and only what it accepted")
    func collector() throws {
        let collector = try FakeCollector { FakeCollector.Answer(status: $0 == 0 ? 500 : 202) }
        let span = #"{"traceId":"1","id":"2","kind":"CLIENT","localEndpoint":{"serviceName":"s"},"tags":{"a":"b"}}"#
        let post =
            "POST /api/v2/spans HTTP/1.1\r\nHost: c\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(span.utf8.count + 2)\r\n\r\n[\(span)]"
        let peer = try Peer(to: collector.address)
        #expect(try peer.exchange(post).status == 500)
        #expect(try peer.exchange(post).status == 202)
        let spans = try collector.spans(1)
        #expect(spans.count == 1)
        #expect(spans[0].kind == .client && spans[0].service == "s" && spans[0].tags == ["a": "b"])
        #expect(collector.posts.count == 2)
    }

    @Test("Metrics are summed over the labels that were not asked for")
    func metrics() throws {
        let metrics = try Metrics(
            "# HELP x\nx_total{route=\"a\",code=\"2xx\"} 3\nx_total{route=\"b\",code=\"2xx\"} 4\nup 1\n")
        #expect(metrics["x_total"] == 7)
        #expect(metrics["x_total", ["route": "b"]] == 4)
        #expect(metrics["up"] == 1)
    }
}
