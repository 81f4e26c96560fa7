// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PropagatingProxy

/// As pools name themselves.
private func name(_ text: String) -> UInt64 {
    var hash = StableHash()
    for byte in text.utf8 { hash.add(byte) }
    return hash.value
}

private func names(_ count: Int) -> [UInt64] { (0..<count).map { name("10.0.\($0 / 256).\($0 % 256):80") } }

/// What each of some values is tied to, by name.
private func owners(_ names: [UInt64], values: Int = 20_000) -> [UInt64] {
    let table = StickyTable(names)
    return (0..<values).map { names[table[name("user-\($0)")]] }
}

@Suite("The table that ties values to endpoints")
struct StickyTableTests {
    @Test("Each endpoint has an equal share of the slots", arguments: [(1, 1), (2, 1), (3, 1), (10, 1), (650, 1)])
    func shares(_ count: Int, _ percent: Int) {
        let table = StickyTable(names(count))
        var slots = [Int](repeating: 0, count: count)
        for slot in 0..<UInt64(StickyTable.slotCount) { slots[table[slot]] += 1 }
        let mean = StickyTable.slotCount / count
        #expect(slots.allSatisfy { abs($0 - mean) <= max(1, mean * percent / 100) })
    }

    @Test("Each of 1,000 endpoints is reached")
    func thousand() {
        #expect(Set(owners(names(1000), values: 100_000)).count == 1000)
    }

    @Test("When one of ten endpoints leaves, its values are shared out and few others move")
    func leaving() {
        let before = names(10)
        let gone = before[3]
        let old = owners(before)
        let new = owners(before.filter { $0 != gone })
        let moved = zip(old, new).count { $0 != gone && $0 != $1 }
        #expect(moved * 100 < old.count * 3, "\(moved) of \(old.count) moved without need")
        let shared = Set(zip(old, new).filter { $0.0 == gone }.map(\.1))
        #expect(shared.count == 9)
    }

    @Test("When one comes to ten endpoints, it takes its share, and few values move between the others")
    func coming() {
        let before = names(10)
        let fresh = name("10.9.9.9:80")
        let old = owners(before)
        let new = owners(before + [fresh])
        let moved = zip(old, new).count { $1 != fresh && $0 != $1 }
        #expect(moved * 100 < old.count * 3, "\(moved) of \(old.count) moved without need")
        #expect((1300...2400).contains(new.count { $0 == fresh }))
    }

    @Test("The order in which name servers tell the addresses decides nothing")
    func order() {
        let straight = names(20)
        #expect(owners(straight) == owners(straight.reversed()))
    }

    @Test("The same value goes to the same endpoint in every process and release")
    func stable() {
        #expect(name("user-1") == StableNumbers.userOne)
        #expect(StickyTable(names(7))[name("user-1")] == StableNumbers.placeOfSeven)
        #expect(StableHash().value != 0)
    }

    @Test("No endpoint, or more than the table has slots for, is no crash")
    func extremes() {
        #expect(StickyTable([])[5] == 0)
        let many = (1...70_000).map { StableHash.mix(UInt64($0)) }
        #expect(StickyTable(many)[.max] < many.count)
    }
}

/// A change of these moves every sticky value of every installation.
private enum StableNumbers {
    static let userOne: UInt64 = 17_413_446_505_964_198_873
    static let placeOfSeven = 4
}
