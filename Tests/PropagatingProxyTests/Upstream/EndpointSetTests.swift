// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Testing

@testable import PropagatingProxy

/// Endpoints without connections, and the records verdicts are noted in.
private final class Endpoints {
    let records: [EndpointRecord]
    let pools: [EndpointPool]

    init(_ count: Int) throws {
        let loop = try EventLoop()
        let buffers = BufferPool(limit: 1)
        let addresses = (0..<count).compactMap { SocketAddress(literal: "10.0.\($0 / 256).\($0 % 256)", port: 80) }
        records = addresses.map { EndpointRecord($0, upstream: 0) }
        pools = records.enumerated().map { number, record in
            EndpointPool(
                record.address, id: EndpointID(number: UInt32(number + 1)), record: record, judge: nil,
                settings: Configuration.UpstreamSettings(),
                capacity: UpstreamCapacity(Configuration.UpstreamSettings()),
                supplies: SessionSupplies(buffers: buffers), on: loop)
        }
    }

    deinit { for pool in pools { pool.retire() } }

    func set(_ balance: Configuration.Balance, panicPercent: Int = 50) -> EndpointSet {
        var set = EndpointSet(balance, panicPercent: panicPercent, seed: 1)
        set.replace(pools)
        return set
    }
}

/// Numbers of the endpoints chosen for some wishes.
private func choose(_ set: inout EndpointSet, _ wishes: [Wish]) -> [UInt32?] {
    wishes.map { set.choose($0)?.use(\.id).number }
}

private func wishes(_ count: Int, hashed: Bool = false, avoiding avoided: UInt32 = 0) -> [Wish] {
    (1...count).map {
        Wish(hash: hashed ? StableHash.mix(UInt64($0)) : 0, avoids: EndpointID(number: avoided))
    }
}

@Suite("The choice of an endpoint")
struct EndpointSetTests {
    private static let all: [Configuration.Balance] = [.roundRobin, .leastRequest, .hash(.source)]

    @Test("Round robin goes from one to the next")
    func roundRobin() throws {
        var set = try Endpoints(3).set(.roundRobin)
        #expect(choose(&set, wishes(7)) == [1, 2, 3, 1, 2, 3, 1])
    }

    @Test("Equally busy endpoints get equal shares of the draws")
    func draws() throws {
        var set = try Endpoints(10).set(.leastRequest)
        var counts: [UInt32: Int] = [:]
        for number in choose(&set, wishes(20_000)) { counts[number ?? 0, default: 0] += 1 }
        #expect(counts.count == 10 && counts.values.allSatisfy { (1700...2300).contains($0) }, "\(counts)")
    }

    @Test("Equal hashes get the same endpoint, and every endpoint has some", arguments: [2, 10, 100])
    func hashes(_ count: Int) throws {
        var set = try Endpoints(count).set(.hash(.source))
        let first = choose(&set, wishes(10_000, hashed: true))
        #expect(choose(&set, wishes(10_000, hashed: true)) == first)
        #expect(Set(first).count == count)
    }

    @Test("While an endpoint is out, only its own hashes go elsewhere; they return with it")
    func outAndBack() throws {
        let endpoints = try Endpoints(10)
        var set = endpoints.set(.hash(.source))
        let before = choose(&set, wishes(5000, hashed: true))
        endpoints.records[3].setHealthy(false)
        set.sortOut()
        let during = choose(&set, wishes(5000, hashed: true))
        #expect(zip(before, during).allSatisfy { $0 == 4 ? $1 != 4 : $0 == $1 })
        #expect(Set(zip(before, during).filter { $0.0 == 4 }.map(\.1)).count == 9)
        endpoints.records[3].setHealthy(true)
        set.sortOut()
        #expect(choose(&set, wishes(5000, hashed: true)) == before)
    }

    @Test("No request goes to an endpoint that is out", arguments: all)
    func availability(_ balance: Configuration.Balance) throws {
        let endpoints = try Endpoints(4)
        var set = endpoints.set(balance)
        endpoints.records[0].setHealthy(false)
        endpoints.records[2].setEjected(true)
        set.sortOut()
        #expect(Set(choose(&set, wishes(500, hashed: true))) == [2, 4])
        #expect(Set(choose(&set, wishes(500))) == [2, 4])
    }

    @Test("When more than half are out, all are used", arguments: all)
    func panic(_ balance: Configuration.Balance) throws {
        let endpoints = try Endpoints(4)
        var set = endpoints.set(balance)
        for record in endpoints.records.prefix(3) { record.setHealthy(false) }
        set.sortOut()
        #expect(Set(choose(&set, wishes(500, hashed: true))) == [1, 2, 3, 4])
    }

    @Test("Without panic mode the last available one is used, and then none", arguments: all)
    func noPanic(_ balance: Configuration.Balance) throws {
        let endpoints = try Endpoints(30)
        var set = endpoints.set(balance, panicPercent: 0)
        for record in endpoints.records.dropLast() { record.setHealthy(false) }
        set.sortOut()
        #expect(Set(choose(&set, wishes(100, hashed: true, avoiding: 30))) == [30])
        endpoints.records[29].setEjected(true)
        set.sortOut()
        #expect(Set(choose(&set, wishes(10, hashed: true))) == [nil])
    }

    @Test("A second try goes to another endpoint if there is one", arguments: all)
    func another(_ balance: Configuration.Balance) throws {
        var set = try Endpoints(3).set(balance)
        #expect(Set(choose(&set, wishes(300, hashed: true, avoiding: 2))) == [1, 3])
        var alone = try Endpoints(1).set(balance)
        #expect(Set(choose(&alone, wishes(3, hashed: true, avoiding: 1))) == [1])
        var nobody = try Endpoints(0).set(balance)
        #expect(choose(&nobody, wishes(1, hashed: true)) == [nil])
    }

    @Test("A list of addresses that shrinks under the turn is no crash")
    func shrinking() throws {
        let endpoints = try Endpoints(5)
        var set = endpoints.set(.roundRobin)
        _ = choose(&set, wishes(4))
        set.replace(Array(endpoints.pools.prefix(2)))
        #expect(Set(choose(&set, wishes(4))) == [1, 2])
    }
}
