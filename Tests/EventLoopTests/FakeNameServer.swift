// SPDX-License-Identifier: Apache-2.0
import Glibc

@testable import EventLoop

/// A DNS server on a loopback port, on the loop of the test.
final class FakeNameServer {
    enum Reply {
        /// Each of 4 or 16 bytes.
        case addresses([[UInt8]], seconds: UInt32)
        case noSuchName
        case noAddress
        case serverFailure
        case silence
    }

    /// `127.0.0.1:port`
    let address: String
    /// Lower-cased name and whether IPv6 was asked for.
    private(set) var asked: [(name: String, isSix: Bool)] = []
    var answer: (_ name: String, _ isSix: Bool) -> Reply
    private let descriptor: Descriptor
    private var source: EventSource?

    init(on loop: EventLoop, answer: @escaping (_ name: String, _ isSix: Bool) -> Reply) throws {
        self.answer = answer
        let number = socket(AF_INET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
        descriptor = Descriptor(owning: number)
        _ = SocketAddress(literal: "127.0.0.1", port: 0)!.withPointer { bind(number, $0, $1) }
        address = SocketAddress.local(of: number)!.description
        let readAndPersist: CInt = 0x02 | 0x10
        source = try EventSource(number, readAndPersist, on: loop) { [unowned self] in receive() }
        source?.enable()
    }

    private func receive() {
        var bytes = [UInt8](repeating: 0, count: 1500)
        var peer = SocketAddress()
        while true {
            let count = peer.fill { raw, length in
                CInt(
                    recvfrom(
                        descriptor.rawValue, &bytes, bytes.count, 0, raw.assumingMemoryBound(to: sockaddr.self),
                        &length))
            }
            guard count > 12 else { return }
            reply(to: Array(bytes.prefix(Int(count))), peer)
        }
    }

    private func reply(to query: [UInt8], _ peer: SocketAddress) {
        var labels: [String] = []
        var at = 12
        while query[at] != 0 {
            let length = Int(query[at])
            labels.append(String(decoding: query[at + 1..<at + 1 + length], as: UTF8.self))
            at += 1 + length
        }
        let name = labels.joined(separator: ".").lowercased()
        let isSix = query[at + 2] == 28
        asked.append((name, isSix))
        var code: UInt8 = 0
        var found: [[UInt8]] = []
        var seconds: UInt32 = 0
        switch answer(name, isSix) {
        case .addresses(let all, let live): (found, seconds) = (all, live)
        case .noSuchName: code = 3
        case .noAddress: break
        case .serverFailure: code = 2
        case .silence: return
        }
        var out = Array(query[0..<2]) + [0x81, 0x80 | code, 0, 1, 0, UInt8(found.count), 0, 0, 0, 0]
        out += query[12..<at + 5]
        for ip in found {
            out += [0xc0, 12, 0, ip.count == 16 ? 28 : 1, 0, 1]
            out += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: seconds >> $0) }
            out += [0, UInt8(ip.count)] + ip
        }
        _ = peer.withPointer { sendto(descriptor.rawValue, out, out.count, 0, $0, $1) }
    }

    deinit { source = nil }
}
