// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("Odd paths of an exchange")
struct OddPathTests {
    @Test("A reader that pauses and then reads on gets the whole response at once")
    func pausingReader() throws {
        let size = 64 << 20
        let stage = try Stage { exchange in
            try exchange.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
            let block = [UInt8](repeating: 0x7a, count: 1 << 20)
            for _ in 0..<size >> 20 { try exchange.peer.send(block) }
        }
        let peer = try stage.proxy.connect()
        try peer.send(request("GET", "/large"))
        #expect(try peer.receiveHead().status == 200)
        var received = 0
        var nextPause = 0
        while received < size {
            let count = try peer.receive(atMost: 1 << 20).count
            guard count > 0 else { break }
            received += count
            if received > nextPause {
                usleep(20_000)  // the proxy's socket fills up
                nextPause += 8 << 20
            }
        }
        #expect(received == size)
    }
}
