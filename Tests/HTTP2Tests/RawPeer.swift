// SPDX-License-Identifier: Apache-2.0
import EventLoop

@testable import HTTP2

/// A server session and a client that writes its frames by hand.
final class RawPeer {
    let pool = BufferPool(limit: 1000)
    let session: HTTP2Session
    /// Microseconds; moves only when a test says so.
    var now: UInt64 = 1_000_000
    /// The session wants no more.
    private(set) var isOver = false
    /// What the session wrote so far.
    private(set) var frames: [Frame] = []
    /// Streams the session told of, as they came.
    private(set) var arrived: [HTTP2Stream] = []
    private var unread: [UInt8] = []

    init(_ limits: HTTP2Limits = HTTP2Limits(), acknowledges: Bool = true) throws {
        session = try HTTP2Session(.server, limits: limits, buffers: pool)
        let settings = Frame(.settings).bytes + (acknowledges ? Frame(.settings, flags: 1).bytes : [])
        send(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + settings)
        frames = []
    }

    /// Gives the bytes to the session, and reads what it has to say.
    func send(_ bytes: [UInt8]) {
        if !isOver { isOver = !session.receive(bytes.span, nowMicroseconds: now) }
        read()
        if session.isFinished { isOver = true }
    }

    func send(_ frame: Frame, times: Int = 1) {
        for _ in 0..<times where !isOver { send(frame.bytes) }
    }

    func read() {
        repeat {
            while let stream = session.takeNews() {
                if stream.isNew { arrived.append(stream) }
            }
            guard session.wantsWrite else { break }
            var out = Buffer(pool: pool)
            session.write(into: &out)
            unread += array(out.readable)
        } while session.wantsWrite
        while unread.count >= 9 {
            let length = Int(unread[0]) << 16 | Int(unread[1]) << 8 | Int(unread[2])
            guard unread.count >= 9 + length else { break }
            frames.append(
                Frame(
                    Frame.Kind(rawValue: unread[3]) ?? .unknown, flags: unread[4], stream: UInt32(unread[8]),
                    Array(unread[9..<9 + length])))
            unread.removeFirst(9 + length)
        }
    }

    /// The code of the GOAWAY the session wrote.
    var goAway: HTTP2ErrorCode? {
        frames.last { $0.kind == .goAway }.map { HTTP2ErrorCode(rawValue: number($0.payload.dropFirst(4))) }
    }

    /// The code of the RST_STREAM the session wrote for the stream.
    func reset(of stream: UInt32) -> HTTP2ErrorCode? {
        let frame = frames.last { $0.kind == .reset && $0.stream == stream }
        return frame.map { HTTP2ErrorCode(rawValue: number($0.payload[...])) }
    }

    private func number(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) } }
}

/// One frame (RFC 9113 §4.1).
struct Frame {
    enum Kind: UInt8 {
        case data, headers, priority, reset, settings, push, ping, goAway, windowUpdate, continuation
        case unknown = 0xbb
    }

    var kind: Kind
    var flags: UInt8
    var stream: UInt32
    var payload: [UInt8]

    init(_ kind: Kind, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []) {
        (self.kind, self.flags, self.stream, self.payload) = (kind, flags, stream, payload)
    }

    /// HEADERS of a request; further fields are literals.
    static func request(
        _ stream: UInt32, _ fields: [(String, String)] = [], method: String = "GET", path: String = "/",
        flags: UInt8 = 5
    ) -> Frame {
        let pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a.test")]
        return Frame(.headers, flags: flags, stream: stream, block(pseudo + fields))
    }

    /// A header block of literals that enter no table (RFC 7541 §6.2.2).
    static func block(_ fields: [(String, String)]) -> [UInt8] {
        fields.flatMap { [0] + text($0.0) + text($0.1) }
    }

    private static func text(_ text: String) -> [UInt8] { integer(text.utf8.count) + Array(text.utf8) }

    private static func integer(_ value: Int) -> [UInt8] {
        guard value >= 127 else { return [UInt8(value)] }
        var bytes: [UInt8] = [127]
        var rest = value - 127
        while rest >= 128 {
            bytes.append(UInt8(rest & 127) | 128)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    var bytes: [UInt8] {
        [UInt8(payload.count >> 16), UInt8(payload.count >> 8 & 255), UInt8(payload.count & 255), kind.rawValue, flags]
            + [24, 16, 8, 0].map { UInt8(stream >> $0 & 255) } + payload
    }
}
