// SPDX-License-Identifier: Apache-2.0

/// Frames of HTTP/2 as bytes (RFC 9113 §4.1), for tests that are one end of a connection themselves.
public struct FakeFrame: Sendable {
    public let type: UInt8
    public let flags: UInt8
    public let stream: UInt8
    public let payload: [UInt8]

    public static let data: UInt8 = 0
    public static let headers: UInt8 = 1
    public static let settings: UInt8 = 4
    public static let goAway: UInt8 = 7
    public static let endStream: UInt8 = 1
    public static let acknowledges: UInt8 = 1
    public static let endHeaders: UInt8 = 4

    public init(_ type: UInt8, flags: UInt8 = 0, stream: UInt8 = 0, _ payload: [UInt8] = []) {
        (self.type, self.flags, self.stream, self.payload) = (type, flags, stream, payload)
    }

    /// A head or trailers; the block is short.
    public static func headers(_ block: [UInt8], ends: Bool, stream: UInt8) -> FakeFrame {
        FakeFrame(headers, flags: endHeaders | (ends ? endStream : 0), stream: stream, block)
    }

    /// A GET: static fields of HPACK, and `:authority: a`.
    public static func get(_ stream: UInt8) -> FakeFrame {
        .headers([0x82, 0x86, 0x84, 0x41, 1, UInt8(ascii: "a")], ends: true, stream: stream)
    }

    /// What both ends of a connection begin with, here with nothing in it, and its acknowledgement.
    public static let greeting = FakeFrame(settings).bytes + FakeFrame(settings, flags: acknowledges).bytes
    public static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + greeting

    /// A field HPACK does not remember, neither coded nor in its table (RFC 7541 §6.2.2).
    public static func field(_ name: String, _ value: String) -> [UInt8] {
        [0, UInt8(name.utf8.count)] + name.utf8 + [UInt8(value.utf8.count)] + value.utf8
    }

    public var endsStream: Bool { (type == Self.headers || type == Self.data) && flags & Self.endStream != 0 }

    public var bytes: [UInt8] {
        let count = payload.count
        return [UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255), type, flags, 0, 0, 0, stream]
            + payload
    }

    /// All that are whole.
    public static func read(_ bytes: [UInt8]) -> [FakeFrame] {
        var frames: [FakeFrame] = []
        var rest = bytes[...]
        while rest.count >= 9 {
            let head = Array(rest.prefix(9))
            let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
            guard rest.count >= 9 + length else { break }
            let payload = Array(rest.dropFirst(9).prefix(length))
            frames.append(FakeFrame(head[3], flags: head[4], stream: head[8], payload))
            rest = rest.dropFirst(9 + length)
        }
        return frames
    }
}
