// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("Addresses and workers")
struct AddressTests {
    @Test("Requests come in and go out over unix sockets")
    func unixSockets() throws {
        let folder = try TemporaryFolder()
        let stage = try Stage(upstream: .unix(path: "\(folder.path)/app.sock"), script: FakeUpstream.echo) {
            $0.address = "unix:\(folder.path)/in.sock"
        }
        let peer = try Peer(to: .unix(path: "\(folder.path)/in.sock"))
        #expect(try peer.exchange(request("POST", "/", body: "unix")).body.text == "unix")
        #expect(try stage.collector.spans(2).count == 2)
    }

    @Test("Requests come in and go out over IPv6")
    func ipv6() throws {
        let stage = try Stage(upstream: .ipv6(port: 0), script: FakeUpstream.echo) { $0.address = "[::1]:0" }
        #expect(try stage.forward(request()).received["x-forwarded-for"] == "::1")
    }

    @Test("An upstream is found by the name localhost, without a DNS server")
    func localhost() throws {
        let stage = try Stage.configured { $0.upstreams["app"] = ["endpoints: [\"localhost:\($0.upstream.port)\"]"] }
        #expect(try stage.proxy.exchange(request()).status == 200)
    }

    @Test("Two workers mix nothing: every answer carries its request's id, and every span arrives")
    func twoWorkers() throws {
        let stage = try Stage(script: {
            try $0.reply(fields: ["X-Echo: \($0.head["x-id"] ?? "")"], body: $0.body().bytes)
        }) {
            $0.workers = 2
        }
        let address = try stage.proxy.address()
        let (callers, rounds) = (8, 100)
        let outcome = Observed((wrong: [String](), finished: 0))
        for caller in 0..<callers {
            Thread.detachNewThread {
                do {
                    var peer = try Peer(to: address)
                    for round in 0..<rounds {
                        if round % 25 == 0 { peer = try Peer(to: address) }
                        let id = "\(caller)-\(round)"
                        let response = try peer.exchange(request("POST", "/", ["X-Id: \(id)"], body: id))
                        if response["x-echo"] != id || response.body.text != id {
                            outcome.change { $0.wrong.append("\(id) got \(response["x-echo"] ?? "nothing")") }
                        }
                    }
                } catch {
                    outcome.change { $0.wrong.append("\(caller): \(error)") }
                }
                outcome.change { $0.finished += 1 }
            }
        }
        #expect(outcome.wait(seconds: 300) { $0.finished == callers })
        #expect(outcome.current.wrong.isEmpty, "\(outcome.current.wrong.prefix(5))")
        let spans = try stage.collector.spans(2 * callers * rounds)
        #expect(Set(spans.map(\.id)).count == 2 * callers * rounds)
        #expect(Set(spans.map(\.traceID)).count == callers * rounds)
    }
}
