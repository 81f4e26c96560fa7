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
        let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
        let acknowledgement: [UInt8] = [0, 0, 0, 4, 1, 0, 0, 0, 0]
        let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
        try peer.send(preface + settings + acknowledgement + [1, 3, 5].flatMap(Self.get))
        let frames = Self.frames(try peer.receiveToEnd())
        // Frames of type 7: the last stream that is looked at, and an error code.
        let leaves = frames.filter { $0.type == 7 }.map { Array($0.payload.prefix(8)) }
        #expect(leaves == [[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0], [0, 0, 0, 5, 0, 0, 0, 0]])
        // HEADERS are of type 1; 0x88 is `:status: 200`.
        let answered = frames.filter { $0.type == 1 && $0.payload.first == 0x88 }.map(\.stream)
        #expect(answered.sorted() == [1, 3, 5])
        #expect(stage.upstream.requests.count == 3)
    }

    /// HEADERS of a GET: static fields of HPACK, and `:authority: a`.
    private static func get(_ stream: UInt8) -> [UInt8] {
        let block: [UInt8] = [0x82, 0x86, 0x84, 0x41, 1, UInt8(ascii: "a")]
        return [0, 0, UInt8(block.count), 1, 5, 0, 0, 0, stream] + block
    }

    private struct Frame {
        let type: UInt8
        let stream: UInt8
        let payload: ArraySlice<UInt8>
    }

    private static func frames(_ bytes: [UInt8]) -> [Frame] {
        var frames: [Frame] = []
        var rest = bytes[...]
        while rest.count >= 9 {
            let head = Array(rest.prefix(9))
            let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
            rest = rest.dropFirst(9)
            frames.append(Frame(type: head[3], stream: head[8], payload: rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return frames
    }
}
