// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("Balancing")
struct BalanceTests {
    @Test("Round robin gives each endpoint the same number of requests")
    func roundRobin() throws {
        let group = try EndpointGroup(3)
        #expect(try group.ask(30).allSatisfy { $0 != nil })
        #expect(group.counts == [10, 10, 10])
    }

    @Test("With least_request no request waits behind a slow one while another endpoint is free")
    func leastRequest() throws {
        let go = Observed(false)
        let group = try EndpointGroup(2, ["balance: least_request"]) { number, exchange in
            if number == 0 { go.wait(seconds: 60) { $0 } }
            try EndpointGroup.tell(number, exchange)
        }
        let peer = try group.proxy.connect()
        // Either endpoint may be drawn; a pipelined request goes out once the one before it is answered.
        try peer.send(String(repeating: request(), count: 50))
        try group.endpoints[0].waitForHeads()
        #expect(try group.ask(30) == [Int?](repeating: 1, count: 30))
        #expect(group.counts[0] == 1)
        go.change { $0 = true }
        for _ in 0..<50 { #expect(try peer.receiveResponse().status == 200) }
    }

    @Test(
        "Requests with the same value go to the same endpoint, from every worker, and the values are shared out",
        arguments: [("{ header: x-user }", "X-User: "), ("{ cookie: id }", "Cookie: a=b; id=")])
    func sticky(_ hash: String, _ field: String) throws {
        let group = try EndpointGroup(4, workers: 2, ["balance: { hash: \(hash) }"])
        var used: Set<Int?> = []
        for user in 0..<32 {  // with half as many two endpoints have all of them in one run of 10,000
            let answers = Set(try group.ask(5, [field + "user-\(user)"]))
            #expect(answers.count == 1)
            used.formUnion(answers)
        }
        #expect(used.count > 2 && !used.contains(nil))
        #expect(Set(try group.ask(40)).count == 4, "without the value the turn decides")
    }

    @Test("Requests from one address go to one endpoint")
    func source() throws {
        let group = try EndpointGroup(4, workers: 2, ["balance: { hash: source }"])
        #expect(Set(try group.ask(20)).count == 1)
    }

    @Test("When an endpoint dies, only its values go elsewhere, each to one place, and no request fails")
    func stickyAndDead() throws {
        let group = try EndpointGroup(4, ["balance: { hash: { header: x-user } }"])
        let users = (0..<24).map { ["X-User: user-\($0)"] }
        let before = try users.map { try group.ask(1, $0)[0] }
        group.endpoints[1].stop()
        let after = try users.map { try group.ask(1, $0)[0] }
        #expect(zip(before, after).allSatisfy { $0 == 1 ? $1 != 1 && $1 != nil : $0 == $1 })
        #expect(try users.map { try group.ask(1, $0)[0] } == after)
    }
}
