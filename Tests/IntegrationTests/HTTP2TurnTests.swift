// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("Turns of an HTTP/2 connection")
struct HTTP2TurnTests {
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    private static let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
    private static let settingsAcknowledgement: [UInt8] = [0, 0, 0, 4, 1, 0, 0, 0, 0]

    /// HEADERS of a POST whose body is still to come: static fields of HPACK, and `:authority: a`.
    private static func request(_ stream: UInt8) -> [UInt8] {
        let block: [UInt8] = [0x83, 0x86, 0x84, 0x41, 1, UInt8(ascii: "a")]
        return [0, 0, UInt8(block.count), 1, 4, 0, 0, 0, stream] + block
    }

    @Test("A hundred streams of one write are all begun, while none of them can be answered yet")
    func manyAtOnce() throws {
        let stage = try Stage()
        let peer = try Peer(to: try stage.proxy.address())
        try peer.send(Self.preface + Self.settings + Self.settingsAcknowledgement)
        try peer.send((0..<100).flatMap { Self.request(2 * $0 + 1) })
        try stage.upstream.waitForHeads(100)
    }
}
