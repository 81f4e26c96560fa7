// SPDX-License-Identifier: Apache-2.0

/// Maps hashes to endpoints so that each endpoint has an equal share, and few hashes move when one comes or goes:
/// the table of Maglev (NSDI 2016, §3.4).
///
/// 128 KiB, whatever the number of endpoints; built when addresses change, in some 10 ns a slot.
// bounded: slots are taken modulo their number
struct StickyTable {
    /// A prime; for 650 endpoints and fewer, shares differ by 1 % at most.
    static let slotCount = 65_537

    /// Which endpoint each slot belongs to; empty without endpoints.
    private let slots: [UInt16]

    /// - Parameter names: one number for each endpoint, all different, the same wherever the endpoint is known.
    ///   Their order decides nothing but what ``subscript(_:)`` calls them.
    init(_ names: [UInt64]) {
        let names = names.prefix(Self.slotCount / 2)
        guard !names.isEmpty else {
            slots = []
            return
        }
        let none = UInt16.max
        var slots = [UInt16](repeating: none, count: Self.slotCount)
        // Each endpoint visits all slots in an order of its own, and in turn takes the next one that is free.
        var visits = names.enumerated().sorted { $0.element < $1.element }.map { Visit(UInt16($0.offset), $0.element) }
        var free = Self.slotCount
        while free > 0 {
            for index in visits.indices where free > 0 {
                while slots[visits[index].slot] != none { visits[index].goOn() }
                slots[visits[index].slot] = visits[index].endpoint
                free -= 1
            }
        }
        self.slots = slots
    }

    /// The endpoint's place in the names; 0 without endpoints.
    subscript(hash: UInt64) -> Int {
        guard !slots.isEmpty else { return 0 }
        return Int(slots[Int(hash % UInt64(Self.slotCount))])
    }

    private struct Visit: BitwiseCopyable {
        let endpoint: UInt16
        private(set) var slot: Int
        private let step: Int

        init(_ endpoint: UInt16, _ name: UInt64) {
            self.endpoint = endpoint
            slot = Int(StableHash.mix(name) % UInt64(slotCount))
            // Any step but 0 reaches every slot, since their number is prime.
            step = Int(StableHash.mix(~name) % UInt64(slotCount - 1)) + 1
        }

        mutating func goOn() {
            slot += step
            if slot >= slotCount { slot -= slotCount }
        }
    }
}
