// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import TLS

@Suite("When a ClientHello is whole")
struct WholeHelloTests {
    /// A handshake message of so many bytes, in records of so many at most.
    private func hello(_ count: Int, records: Int) -> [UInt8] {
        var message: [UInt8] = [1, UInt8(count >> 16), UInt8(count >> 8 & 255), UInt8(count & 255)]
        message += [UInt8](repeating: 7, count: count)
        var bytes: [UInt8] = []
        while !message.isEmpty {
            let part = message.prefix(records)
            bytes += [22, 3, 1, UInt8(part.count >> 8), UInt8(part.count & 255)] + part
            message.removeFirst(part.count)
        }
        return bytes
    }

    @Test("A message is whole with its last byte and not before, however it is cut", arguments: [16_384, 4096, 100, 4])
    func whole(records: Int) {
        let bytes = hello(517, records: records)
        for count in 0..<bytes.count { #expect(!isWhole(Array(bytes.prefix(count))), "\(count)") }
        #expect(isWhole(bytes))
        #expect(isWhole(bytes + [1, 2, 3]))
    }

    private func isWhole(_ bytes: [UInt8]) -> Bool { isWholeHello(bytes.span) }

    @Test(
        "What will never be one is not waited for",
        arguments: [
            [23, 3, 1, 0, 5], [22, 3, 1, 0, 0], [22, 3, 1, 0x40, 1], [22, 3, 1, 0, 3], [22, 3, 1, 0, 5, 2, 0, 0, 1],
            [22, 3, 1, 0, 4, 1, 0, 0, 9, 21, 3, 1, 0, 2],
        ] as [[UInt8]])
    func hopeless(bytes: [UInt8]) { #expect(isWhole(bytes)) }
}
