// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Testing

@testable import PropagatingProxy

@Suite("Replies the proxy makes itself")
struct LocalReplyTests {
    private func text(status: UInt16, isHead: Bool = false, closes: Bool = false) -> String {
        let bytes = [UInt8](capacity: 1024) {
            LocalReply.write(status: status, reason: "no route matches", isHead: isHead, closes: closes, into: &$0)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("A reply is one line of text with its length")
    func whole() {
        #expect(
            text(status: 404) == "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"
                + "Content-Length: 17\r\n\r\nno route matches\n")
    }

    @Test("HEAD gets the same head without the line")
    func head() {
        #expect(text(status: 404, isHead: true) == String(text(status: 404).dropLast(17)))
    }

    @Test("A connection that closes says so, and a refused method names the allowed ones")
    func closes() {
        #expect(text(status: 400, closes: true).contains("\r\nConnection: close\r\n"))
        #expect(text(status: 405).contains("\r\nAllow: GET,"))
    }
}
