// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Testing

@testable import HTTP2

/// A connection without a socket: what one session writes, the other is given.
final class Pair {
    let pool = BufferPool(limit: 1000)
    let client: HTTP2Session
    let server: HTTP2Session
    /// Microseconds; moves only when a test says so.
    var now: UInt64 = 1_000_000
    private(set) var clientIsOver = false
    private(set) var serverIsOver = false

    init(
        server limits: HTTP2Limits = HTTP2Limits(), client clientLimits: HTTP2Limits = HTTP2Limits(),
        memory: SessionMemory? = nil
    ) throws {
        client = try HTTP2Session(.client, limits: clientLimits, buffers: pool, memory: memory)
        server = try HTTP2Session(.server, limits: limits, buffers: pool, memory: memory)
    }

    /// Carries bytes both ways until neither side has any.
    func carry() {
        while carryToServer() || carryToClient() {}
    }

    func carryToServer() -> Bool {
        let bytes = written(by: client)
        if !bytes.isEmpty, !serverIsOver { serverIsOver = !server.receive(bytes.span, nowMicroseconds: now) }
        return !bytes.isEmpty
    }

    func carryToClient() -> Bool {
        let bytes = written(by: server)
        if !bytes.isEmpty, !clientIsOver { clientIsOver = !client.receive(bytes.span, nowMicroseconds: now) }
        return !bytes.isEmpty
    }

    /// One write of the session, at most a block.
    func written(by session: HTTP2Session) -> [UInt8] {
        guard session.wantsWrite else { return [] }
        var out = Buffer(pool: pool)
        session.write(into: &out)
        return array(out.readable)
    }

    /// A stream opened by the client that the server has been told of.
    func exchange(_ request: String, end: Bool = true) throws -> (client: HTTP2Stream, server: HTTP2Stream) {
        let opened = try #require(client.open()?.object)
        #expect(opened.send(text: request) == .sent(request.utf8.count))
        if end { opened.shutdownWrite() }
        carry()
        let arrived = try #require(server.takeNews())
        return (opened, arrived)
    }
}

extension HTTP2Session {
    func take(_ bytes: [UInt8]) -> Bool { receive(bytes.span, nowMicroseconds: 1) }
}

/// What one stream has given so far.
struct Received: Equatable {
    var text = ""
    var isEnded = false
    var failure: CInt = 0
}

extension HTTP2Stream {
    func send(text: String) -> WriteOutcome { send(Array(text.utf8).span) }

    /// Everything there is, as its socket would read it.
    func readAll(_ pool: BufferPool) -> Received {
        var bytes: [UInt8] = []
        var received = Received()
        reading: while true {
            var buffer = Buffer(pool: pool)
            switch receive(into: &buffer) {
            case .bytes: bytes += array(buffer.readable)
            case .endOfStream:
                received.isEnded = true
                break reading
            case .failed(let code):
                received.failure = code
                break reading
            case .wouldBlock, .full: break reading
            }
        }
        received.text = String(decoding: bytes, as: UTF8.self)
        return received
    }

    var trailerText: String {
        var text = ""
        readTrailers { text = String(decoding: array($0), as: UTF8.self) }
        return text
    }
}

func array(_ span: Span<UInt8>) -> [UInt8] {
    var bytes: [UInt8] = []
    for index in span.indices { bytes.append(span[index]) }
    return bytes
}

let get = "GET /a?b=c HTTP/1.1\r\nHost: a.test:80\r\nX-Case: Kept\r\n\r\n"
let gotten = "GET /a?b=c HTTP/1.1\r\nhost: a.test:80\r\nx-case: Kept\r\n\r\n"
let post = "POST /p HTTP/1.1\r\nhost: a.test\r\n\r\n"
let ok = "HTTP/1.1 200 OK\r\nx-a: b\r\n\r\n"
let okReceived = "HTTP/1.1 200 \r\nx-a: b\r\n\r\n"
