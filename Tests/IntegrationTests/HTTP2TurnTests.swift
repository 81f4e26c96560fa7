// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("Turns of an HTTP/2 connection")
struct HTTP2TurnTests {
    /// A POST whose body is still to come: static fields of HPACK, and `:authority: a`.
    private static func request(_ stream: UInt8) -> FakeFrame {
        .headers([0x83, 0x86, 0x84, 0x41, 1, UInt8(ascii: "a")], ends: false, stream: stream)
    }

    @Test("A hundred streams of one write are all begun, while none of them can be answered yet")
    func manyAtOnce() throws {
        let stage = try Stage()
        let peer = try Peer(to: try stage.proxy.address())
        try peer.send(FakeFrame.preface + (0..<100).flatMap { Self.request(2 * $0 + 1).bytes })
        try stage.upstream.waitForHeads(100)
    }
}
