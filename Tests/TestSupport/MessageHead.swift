// SPDX-License-Identifier: Apache-2.0

/// The head of a request or response as it came over the wire: nothing folded, lower-cased, sorted or trimmed away.
public struct MessageHead: Sendable {
    public struct Field: Sendable, Equatable, CustomStringConvertible {
        public let name: String
        public let value: String
        public var description: String { "\(name): \(value)" }
    }

    /// With the blank line.
    public let raw: [UInt8]
    public let startLine: String
    public let fields: [Field]

    public init(raw: [UInt8]) throws {
        self.raw = raw
        // Latin-1, so that every byte stays itself.
        let text = String(String.UnicodeScalarView(raw.map { Unicode.Scalar($0) }))
        guard text.hasSuffix("\r\n\r\n") else { throw SocketError.malformed("head without blank line: \(shown(raw))") }
        var lines = text.utf8.dropLast(4).split(separator: 10, omittingEmptySubsequences: false).map {
            String($0) ?? ""
        }
        for index in lines.indices.dropLast() {
            guard lines[index].utf8.last == 13 else { throw SocketError.malformed("bare LF in head: \(shown(raw))") }
            lines[index] = String(lines[index].unicodeScalars.dropLast())
        }
        startLine = lines[0]
        fields = try lines.dropFirst().map { line in
            guard let colon = line.firstIndex(of: ":"), colon > line.startIndex else {
                throw SocketError.malformed("field line \(line.debugDescription)")
            }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            return Field(name: String(line[..<colon]), value: String(value))
        }
    }

    /// Values of all fields with this name, in order; any case.
    public func values(_ name: String) -> [String] {
        fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
    }

    /// The value of the only field with this name; nil when there is none or more than one.
    public subscript(name: String) -> String? {
        let found = values(name)
        return found.count == 1 ? found[0] : nil
    }

    /// Words of the start line: method, target, version, or version, status, reason.
    public var words: [String] { startLine.split(separator: " ", maxSplits: 2).map(String.init) }
    public var method: String { words.first ?? "" }
    public var target: String { words.count > 1 ? words[1] : "" }
    /// 0 when the start line is no status line.
    public var status: Int { startLine.hasPrefix("HTTP/1.") && words.count > 1 ? Int(words[1]) ?? 0 : 0 }
}

/// A body as it came, and how its end was known.
public struct MessageBody: Sendable {
    public enum Framing: Sendable, Equatable { case none, contentLength, chunked, closed }

    public var bytes: [UInt8] = []
    public var framing = Framing.none
    public var trailers: [MessageHead.Field] = []

    public var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// A response with its body, and the interim responses that came first.
public struct Response: Sendable {
    public let interim: [MessageHead]
    public let head: MessageHead
    public let body: MessageBody

    public var status: Int { head.status }
    public subscript(name: String) -> String? { head[name] }
}

extension Peer {
    public func receiveHead() throws -> MessageHead {
        try MessageHead(raw: receive(through: Array("\r\n\r\n".utf8)))
    }

    /// The body that belongs to this head. Pieces go to `sink` where one is given, and then the body stays empty.
    public func receiveBody(
        of head: MessageHead, isResponse: Bool, sink: (([UInt8]) throws -> Void)? = nil
    ) throws -> MessageBody {
        var body = MessageBody()
        func keep(_ bytes: [UInt8]) throws {
            if let sink { try sink(bytes) } else { body.bytes += bytes }
        }
        if let coding = head["transfer-encoding"], coding.lowercased().hasSuffix("chunked") {
            body.framing = .chunked
            while true {
                let line = try receive(through: [13, 10])
                let digits = String(decoding: line.prefix { $0 != 59 && $0 != 13 }, as: UTF8.self)
                guard let size = Int(digits, radix: 16) else {
                    throw SocketError.malformed("chunk size \(shown(line))")
                }
                if size == 0 { break }
                try receiveCounted(size, keep)
                guard try receive(exactly: 2) == [13, 10] else { throw SocketError.malformed("no CRLF after a chunk") }
            }
            var block: [UInt8] = Array("x\r\n".utf8)
            while true {
                let line = try receive(through: [13, 10])
                block += line
                if line.count == 2 { break }
            }
            body.trailers = try MessageHead(raw: block).fields
        } else if let length = head["content-length"] {
            guard let count = Int(length) else { throw SocketError.malformed("Content-Length \(length)") }
            body.framing = .contentLength
            try receiveCounted(count, keep)
        } else if isResponse {
            body.framing = .closed
            while case let piece = try receive(), !piece.isEmpty { try keep(piece) }
        }
        return body
    }

    /// The next final response with its body.
    public func receiveResponse(to method: String = "GET", sink: (([UInt8]) throws -> Void)? = nil) throws -> Response {
        var interim: [MessageHead] = []
        while true {
            let head = try receiveHead()
            if (100..<200).contains(head.status) && head.status != 101 {
                interim.append(head)
                continue
            }
            let bodiless = method == "HEAD" || [101, 204, 304].contains(head.status)
            let body = bodiless ? MessageBody() : try receiveBody(of: head, isResponse: true, sink: sink)
            return Response(interim: interim, head: head, body: body)
        }
    }

    /// Sends the request and waits for its final response.
    public func exchange(_ request: String) throws -> Response {
        try send(request)
        return try receiveResponse(to: String(request.prefix { $0 != " " }))
    }

    private func receiveCounted(_ count: Int, _ keep: ([UInt8]) throws -> Void) throws {
        var left = count
        while left > 0 {
            let piece = try receive(atMost: left)
            guard !piece.isEmpty else { throw SocketError.closed("\(left) of \(count) body bytes missing") }
            try keep(piece)
            left -= piece.count
        }
    }
}
