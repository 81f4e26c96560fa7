// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("max_requests_per_connection")
struct RequestsPerConnectionTests {
    private static func stage(_ limit: Int) throws -> Stage {
        try Stage.configured { $0.listener = ["max_requests_per_connection: \(limit)"] }
    }

    @Test("The last response over HTTP/1.1 says Connection: close, and the connection ends; those before it do not")
    func text() throws {
        let stage = try Self.stage(3)
        let peer = try stage.proxy.connect()
        for _ in 0..<2 {
            let response = try peer.exchange(request())
            #expect(response.status == 200)
            #expect(response.head.values("connection").isEmpty)
        }
        let last = try peer.exchange(request())
        #expect(last.status == 200)
        #expect(last.head.values("connection") == ["close"])
        #expect(peer.isClosed())
        #expect(try stage.proxy.exchange(request()).status == 200)
    }

    @Test("Over HTTP/2 a GOAWAY is announced, requests under way are still answered, then the connection ends")
    func frames() throws {
        let stage = try Self.stage(2)
        let peer = try Peer(to: try stage.proxy.address())
        try peer.send(FakeFrame.preface + [1, 3, 5].flatMap { FakeFrame.get($0).bytes })
        let frames = FakeFrame.read(try peer.receiveToEnd())
        // The last stream that is looked at, and an error code.
        let leaves = frames.filter { $0.type == FakeFrame.goAway }.map { Array($0.payload.prefix(8)) }
        #expect(leaves == [[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0], [0, 0, 0, 5, 0, 0, 0, 0]])
        // 0x88 is `:status: 200`.
        let answered = frames.filter { $0.type == FakeFrame.headers && $0.payload.first == 0x88 }.map(\.stream)
        #expect(answered.sorted() == [1, 3, 5])
        #expect(stage.upstream.requests.count == 3)
    }
}
