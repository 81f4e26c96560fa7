// SPDX-License-Identifier: Apache-2.0

/// Reads what a session writes as a peer would: whole frames, of the sizes and in the order RFC 9113 allows.
struct PlainFrames {
    private var unread: [UInt8] = []
    private var prefaceCount: Int
    /// The stream whose header block has not ended.
    private var openBlock: UInt32?
    private var ended: Set<UInt32> = []
    /// The last stream that GOAWAY says is looked at.
    private(set) var lastStream = UInt32.max
    private(set) var goAwayCount = 0

    init(ofClient isClient: Bool) { prefaceCount = isClient ? 24 : 0 }

    /// Whether a frame has begun and not ended.
    var isCut: Bool { !unread.isEmpty }

    mutating func read(_ bytes: [UInt8]) throws(BrokenLaw) {
        unread += bytes
        if prefaceCount > 0 {
            guard unread.count >= prefaceCount else { return }
            try hold(unread.starts(with: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8), "a client without its preface")
            unread.removeFirst(prefaceCount)
            prefaceCount = 0
        }
        var position = 0
        while unread.count - position >= 9 {
            let header = Array(unread[position..<position + 9])
            let size = header[..<3].reduce(0) { $0 << 8 | Int($1) }
            try hold(size <= 16_384, "a frame of \(size) bytes")
            guard unread.count - position >= 9 + size else { break }
            try judge(header, unread[(position + 9)..<(position + 9 + size)])
            position += 9 + size
        }
        unread.removeFirst(position)
    }

    private mutating func judge(_ header: [UInt8], _ payload: ArraySlice<UInt8>) throws(BrokenLaw) {
        let (kind, flags) = (header[3], header[4])
        let stream = Self.number(header[5...])
        if let open = openBlock {
            try hold(kind == 9 && stream == open, "frame \(kind) inside of a header block")
            if flags & 4 != 0 { openBlock = nil }
            return
        }
        switch kind {
        case 0, 1:
            try hold(stream > 0 && !ended.contains(stream), "frame \(kind) on stream \(stream), which has ended")
            if flags & 1 != 0 { ended.insert(stream) }
            if kind == 1, flags & 4 == 0 { openBlock = stream }
        case 3:
            try hold(stream > 0 && payload.count == 4, "a malformed RST_STREAM")
            ended.insert(stream)
        case 4:
            try hold(stream == 0 && payload.count % 6 == 0, "malformed SETTINGS")
        case 6: try hold(stream == 0 && payload.count == 8, "a malformed PING")
        case 7:
            let last = Self.number(payload)
            // One for an error, which libnghttp2 may find by itself, ends the connection whatever it says.
            let isError = payload.count >= 8 && Self.number(payload.dropFirst(4)) != 0
            try hold(payload.count >= 8 && (isError || last <= lastStream), "GOAWAY: \(lastStream), then \(last)")
            lastStream = min(last, lastStream)
            goAwayCount += 1
        case 8: try hold(payload.count == 4 && Self.number(payload) > 0, "WINDOW_UPDATE of nothing")
        default: throw BrokenLaw(law: "a frame of type \(kind)")
        }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) } & 0x7fff_ffff
    }
}
