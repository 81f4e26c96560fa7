// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("Trailers behind a Content-Length (RFC 9113 §8.1)")
struct TrailersBehindLengthTests {
    private static let length = FakeFrame.field("content-length", "5")
    private static let hello = Array("hello".utf8)
    private static let trailers = FakeFrame.field("grpc-status", "0")

    private static func body(_ stream: UInt8) -> [FakeFrame] {
        [FakeFrame(FakeFrame.data, stream: stream, hello), .headers(trailers, ends: true, stream: stream)]
    }

    /// HEADERS, DATA and HEADERS that end the stream; DATA may come in any frames.
    private static func isWhole(_ frames: [FakeFrame]) -> Bool {
        let body = frames.filter { $0.type == FakeFrame.data }
        return frames.first?.type == FakeFrame.headers && frames.last?.type == FakeFrame.headers
            && frames.filter { $0.type == FakeFrame.headers }.count == 2
            && body.flatMap(\.payload) == hello && frames.filter(\.endsStream).count == 1
            && frames.last?.endsStream == true
    }

    private static func stage(_ upstream: FakeStreams) throws -> Stage {
        try Stage.configured {
            $0.upstreams["app"] = ["endpoints: [\"\(upstream.address)\"]", "protocol: http2"]
        }
    }

    private static func frames(of stream: UInt8, from peer: Peer) throws -> [FakeFrame] {
        var bytes: [UInt8] = []
        while true {
            let piece = try peer.receive()
            guard !piece.isEmpty else { throw SocketError.closed("stream \(stream) has not ended") }
            bytes += piece
            let frames = FakeFrame.read(bytes).filter { $0.stream == stream && $0.type <= FakeFrame.headers }
            if frames.contains(where: \.endsStream) { return frames }
        }
    }

    @Test("A response from HTTP/2 keeps them towards a caller of HTTP/2")
    func response() throws {
        let upstream = try FakeStreams { [.headers([0x88] + Self.length, ends: false, stream: $0)] + Self.body($0) }
        let stage = try Self.stage(upstream)
        let peer = try Peer(to: try stage.proxy.address())
        try peer.send(FakeFrame.preface + FakeFrame.get(1).bytes)
        #expect(Self.isWhole(try Self.frames(of: 1, from: peer)))
    }

    @Test("Towards a caller of HTTP/1.1, who has no place for them, the response is as long as it says")
    func responseToText() throws {
        let upstream = try FakeStreams { [.headers([0x88] + Self.length, ends: false, stream: $0)] + Self.body($0) }
        let stage = try Self.stage(upstream)
        let response = try stage.proxy.exchange(request())
        #expect(response.status == 200)
        #expect(response.head.values("content-length") == ["5"])
        #expect(response.body.text == "hello")
    }

    @Test("A request over HTTP/2 keeps them towards an upstream of HTTP/2")
    func requestOverStream() throws {
        let upstream = try FakeStreams { [.headers([0x88], ends: true, stream: $0)] }
        let stage = try Self.stage(upstream)
        let peer = try Peer(to: try stage.proxy.address())
        let post = FakeFrame.headers(
            [0x83, 0x86, 0x84, 0x41, 1, UInt8(ascii: "a")] + Self.length, ends: false, stream: 1)
        try peer.send(FakeFrame.preface + ([post] + Self.body(1)).flatMap(\.bytes))
        #expect(try Self.frames(of: 1, from: peer).last?.endsStream == true)
        #expect(Self.isWhole(upstream.frames.filter { $0.type <= FakeFrame.headers }))
    }
}
