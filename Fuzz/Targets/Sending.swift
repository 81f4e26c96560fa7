// SPDX-License-Identifier: Apache-2.0

/// A message made of an input's bytes, as HTTP/1.1 text without chunks, and what has to arrive of it over HTTP/2.
struct Sending {
    private(set) var bytes: [UInt8] = []
    /// Where each head ends; the last is the final one's.
    private(set) var heads: [Int] = []
    private(set) var trailers: [UInt8] = []
    private var arriving: [UInt8] = []
    private var arrivingTrailers: [UInt8] = []
    private var hasBody = false

    init(request feed: inout Feed) {
        let method = ["GET", "POST", "X-!#~"][Int(feed.byte()) % 3]
        let path = "/" + Self.visible(feed.bytes())
        let host = "a.test:\(feed.byte())"
        let fields = Self.fields(&feed)
        let cookies = fields.filter { $0.name == "cookie" }.map(\.value)
        addHead("\(method) \(path) HTTP/1.1", Self.mixed([("Host", host)], fields, feed.byte()))
        var lines = Self.lines([("host", host)] + fields.filter { $0.name != "cookie" })
        if !cookies.isEmpty { lines += Self.lines([("cookie", cookies.joined(separator: "; "))]) }
        arriving += Array("\(method) \(path) HTTP/1.1\r\n".utf8) + lines + [13, 10]
        addBody(&feed)
    }

    init(response feed: inout Feed) {
        for _ in 0..<feed.byte() & 1 { addResponseHead("103", &feed) }
        addResponseHead(["200", "404", "599"][Int(feed.byte()) % 3], &feed)
        addBody(&feed)
    }

    /// - Parameter socket: the other end's.
    func judge(_ socket: SocketEnd) throws(BrokenLaw) {
        try hold(socket.received == arriving, "what arrives is not what was sent: \(Self.text(socket.received))")
        try hold(socket.trailers == arrivingTrailers, "trailers change: \(Self.text(socket.trailers))")
        if hasBody || !trailers.isEmpty { try hold(!socket.endedWithHead, "a head takes a body's end") }
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes.prefix(300), as: UTF8.self) }

    private mutating func addResponseHead(_ status: String, _ feed: inout Feed) {
        let fields = Self.fields(&feed)
        addHead("HTTP/1.1 \(status) any reason", Self.mixed([], fields, feed.byte()))
        arriving += Array("HTTP/1.1 \(status) \r\n".utf8) + Self.lines(fields) + [13, 10]
    }

    private mutating func addHead(_ line: String, _ fields: [(name: String, value: String)]) {
        bytes += Array(line.utf8) + [13, 10] + Self.lines(fields) + [13, 10]
        heads.append(bytes.count)
    }

    private mutating func addBody(_ feed: inout Feed) {
        let choice = feed.byte()
        let count = choice & 1 == 0 ? Int(feed.byte()) : Int(feed.number(UInt16.self)) >> Int(choice >> 1 & 7)
        let body = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        bytes += body
        arriving += body
        hasBody = !body.isEmpty
        guard choice & 128 != 0 else { return }
        let fields = Self.fields(&feed)
        trailers = Self.lines(fields.map { ($0.name.uppercased(), $0.value) })
        arrivingTrailers = Self.lines(fields)
    }

    // MARK: Fields

    private static func lines(_ fields: [(name: String, value: String)]) -> [UInt8] {
        fields.flatMap { Array("\($0.name): \($0.value)\r\n".utf8) }
    }

    /// Names in any case, and fields among them that HTTP/2 has no place for.
    private static func mixed(
        _ first: [(String, String)], _ fields: [(name: String, value: String)], _ choice: UInt8
    ) -> [(name: String, value: String)] {
        var mixed: [(name: String, value: String)] = first.map { ($0.0, $0.1) }
        let dropped = [
            ("Connection", "x"), ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "close"), ("TE", "gzip"),
            ("Transfer-Encoding", "chunked"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AA"),
        ]
        for (index, field) in fields.enumerated() {
            if index == Int(choice & 3) { mixed.append(dropped[Int(choice >> 2) % dropped.count]) }
            mixed.append((choice & 128 == 0 ? field.name : field.name.uppercased(), field.value))
        }
        return mixed
    }

    private static func fields(_ feed: inout Feed) -> [(name: String, value: String)] {
        (0..<feed.byte() & 7).map { _ in
            let name = feed.bytes()
            if name.first == 1 { return ("cookie", "a=" + value(feed.bytes())) }
            let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~")
            return ("x-" + String(name.map { letters[Int($0) % letters.count] }), value(feed.bytes()))
        }
    }

    private static func visible(_ bytes: [UInt8]) -> String {
        String(String.UnicodeScalarView(bytes.map { Unicode.Scalar(33 + $0 % 94) }))
    }

    /// Printable, with blanks inside.
    private static func value(_ bytes: [UInt8]) -> String {
        let text = bytes.map { $0 % 97 == 95 ? 9 : $0 % 97 == 96 ? 32 : 33 + $0 % 97 % 94 }
        let trimmed = text.drop { $0 < 33 }.reversed().drop { $0 < 33 }.reversed()
        return String(decoding: Array(trimmed), as: UTF8.self)
    }
}
