// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import EventLoop

@Suite("Socket addresses")
struct SocketAddressTests {
    @Test(
        "A literal is printed as operators write it",
        arguments: [
            ("127.0.0.1", "127.0.0.1:8080", true), ("::1", "[::1]:8080", true),
            ("2001:DB8:0:0::1", "[2001:db8::1]:8080", false), ("0.0.0.0", "0.0.0.0:8080", false),
            ("::ffff:10.0.0.1", "[::ffff:10.0.0.1]:8080", false), ("127.9.9.9", "127.9.9.9:8080", true),
        ])
    func literals(text: String, printed: String, isLoopback: Bool) throws {
        let address = try #require(SocketAddress(literal: text, port: 8080))
        #expect(address.description == printed)
        #expect(address.port == 8080)
        #expect(address.isLoopback == isLoopback)
        #expect(address.with(port: 1).port == 1)
        #expect(address.with(port: 1) != address)
    }

    @Test(
        "What is no literal is not guessed at",
        arguments: [
            "", "localhost", "127.0.0.1:80", "[::1]", "127.1", "0x7f.0.0.1", "256.0.0.1", "127.0.0.1\0x", "::1%lo",
            "1.2.3.4 ",
        ])
    func names(text: String) { #expect(SocketAddress(literal: text, port: 1) == nil) }

    @Test("Bytes and text name the same address")
    func bytes() {
        let four: [UInt8] = [10, 1, 2, 3]
        #expect(SocketAddress(ip: four.span, port: 9) == SocketAddress(literal: "10.1.2.3", port: 9))
        var six = [UInt8](repeating: 0, count: 16)
        six[15] = 1
        #expect(SocketAddress(ip: six.span, port: 9) == SocketAddress(literal: "::1", port: 9))
        let five: [UInt8] = [1, 2, 3, 4, 5]
        #expect(SocketAddress(ip: five.span, port: 9).family == .none)
        #expect(SocketAddress(literal: "10.1.2.3", port: 9)!.ip[0] == 10)
        #expect(SocketAddress(literal: "::1", port: 9)!.ip[15] == 1)
    }

    @Test("Unix paths are 1 to 107 bytes")
    func unix() throws {
        let longest = "/" + String(repeating: "a", count: 106)
        let address = try #require(SocketAddress(unixPath: longest))
        #expect(address.description == "unix:" + longest)
        #expect(address.family == .unix)
        #expect(address.port == 0)
        #expect(SocketAddress(unixPath: longest + "a") == nil)
        #expect(SocketAddress(unixPath: "") == nil)
        #expect(SocketAddress(unixPath: "/a\0b") == nil)
        #expect(SocketAddress().description == "none")
    }
}
