// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// One worker's view of an upstream's endpoints, and the choice among them: a few steps, however many there are.
struct EndpointSet {
    /// What the configuration's `balance` comes to for each request.
    private enum Balancer: BitwiseCopyable { case roundRobin, leastRequest, hash }

    /// Tries at the table before the turn decides: with half of the endpoints out, one request in 65,536 gets that far.
    private static let hashTryLimit = 16

    private let balancer: Balancer
    private let panicPercent: Int
    private(set) var all: [EndpointPool] = []
    /// Those that may be chosen: the available ones, or all in panic mode.
    private(set) var usable: [EndpointPool] = []
    private var turn = 0
    private var table = StickyTable([])
    private var drawn: UInt64

    /// - Parameter seed: any number, for draws.
    init(_ balance: Configuration.Balance, panicPercent: Int, seed: UInt64) {
        balancer =
            switch balance {
            case .roundRobin: .roundRobin
            case .leastRequest: .leastRequest
            case .hash: .hash
            }
        self.panicPercent = panicPercent
        drawn = seed
    }

    /// Takes another list of endpoints.
    mutating func replace(_ endpoints: [EndpointPool]) {
        all = endpoints
        if balancer == .hash { table = StickyTable(endpoints.map(\.stableName)) }
        sortOut()
    }

    /// Looks anew at which endpoints are available.
    mutating func sortOut() {
        let available = all.count { $0.isAvailable }
        let isPanicking = available * 100 < all.count * panicPercent
        for endpoint in all { endpoint.isUsable = isPanicking || endpoint.isAvailable }
        usable = all.filter(\.isUsable)
        if turn >= usable.count { turn = 0 }
    }

    /// - Returns: `nil` if no endpoint is usable. Lent until the set is replaced.
    mutating func choose(_ wish: Wish) -> Lent<EndpointPool>? {
        switch balancer {
        case .roundRobin: nextInTurn(avoiding: wish.avoids)
        case .leastRequest: lessBusyOfTwo(avoiding: wish.avoids)
        case .hash: wish.hash == 0 ? nextInTurn(avoiding: wish.avoids) : sticky(wish)
        }
    }

    private mutating func nextInTurn(avoiding avoided: EndpointID) -> Lent<EndpointPool>? {
        guard turn < usable.count else { return nil }
        let endpoint = Lent(usable[turn])
        turn = turn + 1 < usable.count ? turn + 1 : 0
        guard usable.count > 1, endpoint.use(\.id) == avoided else { return endpoint }
        return nextInTurn(avoiding: .none)
    }

    /// Two different ones are drawn. Nearly as even as looking at all, and it cannot herd.
    private mutating func lessBusyOfTwo(avoiding avoided: EndpointID) -> Lent<EndpointPool>? {
        guard usable.count > 1 else { return usable.first.map { Lent($0) } }
        let bits = draw()
        let first = Self.place(bits >> 32, in: usable.count)
        var second = Self.place(bits & 0xFFFF_FFFF, in: usable.count - 1)
        if second >= first { second += 1 }
        // bounded: place() answers with less than its count
        let (one, other) = (usable[first], usable[second])
        if one.id == avoided { return Lent(other) }
        if other.id == avoided { return Lent(one) }
        return Lent(other.busyCount < one.busyCount ? other : one)
    }

    /// The table's endpoint; while it is out, each of its values has another one of its own.
    private mutating func sticky(_ wish: Wish) -> Lent<EndpointPool>? {
        var hash = wish.hash
        for _ in 0..<Self.hashTryLimit {
            let place = table[hash]  // bounded: has an answer for every hash
            guard place < all.count else { break }
            let endpoint = all[place]
            if endpoint.isUsable, endpoint.id != wish.avoids { return Lent(endpoint) }
            hash = StableHash.mix(hash &+ 1)
        }
        return nextInTurn(avoiding: wish.avoids)
    }

    /// - Parameter draw: 32 random bits.
    private static func place(_ draw: UInt64, in count: Int) -> Int { Int((draw &* UInt64(count)) >> 32) }

    private mutating func draw() -> UInt64 {
        drawn &+= 0x9E37_79B9_7F4A_7C15
        return StableHash.mix(drawn)
    }
}
