// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import EventLoop

@Suite("Blocks of addresses (RFC 4632 §3.1)")
struct AddressBlockTests {
    struct Row: CustomTestStringConvertible {
        var block: String
        var inside: [String]
        var outside: [String]
        var testDescription: String { block }
    }

    @Test(
        "A block holds the addresses that share its prefix, and no others",
        arguments: [
            Row(block: "10.0.0.0/8", inside: ["10.0.0.0", "10.255.255.255"], outside: ["9.255.255.255", "11.0.0.0"]),
            Row(block: "192.168.128.0/17", inside: ["192.168.128.1"], outside: ["192.168.127.255"]),
            Row(block: "127.0.0.1", inside: ["127.0.0.1", "::ffff:127.0.0.1"], outside: ["127.0.0.2", "::1"]),
            Row(block: "127.0.0.1/32", inside: ["127.0.0.1"], outside: ["127.0.0.0"]),
            Row(block: "0.0.0.0/0", inside: ["1.2.3.4", "::ffff:1.2.3.4"], outside: ["::1", "2001:db8::1"]),
            Row(block: "::/0", inside: ["::1", "2001:db8::1"], outside: ["1.2.3.4", "::ffff:1.2.3.4"]),
            Row(block: "::1/128", inside: ["::1"], outside: ["::2", "127.0.0.1"]),
            Row(block: "2001:db8::/33", inside: ["2001:db8:7fff::1"], outside: ["2001:db8:8000::", "2001:db7::"]),
        ])
    func holds(row: Row) throws {
        let block = try #require(AddressBlock(row.block))
        for text in row.inside {
            #expect(block.contains(try #require(SocketAddress(literal: text, port: 7))), "\(text)")
        }
        for text in row.outside {
            #expect(!block.contains(try #require(SocketAddress(literal: text, port: 7))), "\(text)")
        }
        #expect(!block.contains(try #require(SocketAddress(unixPath: "/run/a"))))
        #expect(!block.contains(SocketAddress()))
    }

    @Test(
        "What is no block is refused, bits behind the prefix among it",
        arguments: [
            "", "/", "10.0.0.0/", "/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.1/8",
            "10.0.0/8", "::/129", "::1/0", "[::1]/128", "localhost", "10.0.0.0 /8", "10.0.0.0/0008", "a/8",
            "fe80::%1/64",
        ])
    func refused(text: String) { #expect(AddressBlock(text) == nil) }
}
