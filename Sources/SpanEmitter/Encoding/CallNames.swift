// SPDX-License-Identifier: Apache-2.0

/// Which names spans of gRPC calls have had: they are paths, which callers choose, and collectors keep
/// an index of span names. The first ``limit`` names are admitted.
final class CallNames {
    static let limit = 1000
    /// More than twice the limit, and a power of two: searches stay short.
    private static let placeCount = 4096

    /// Hashes of the names admitted; 0 is a free place. Made for the first call.
    private var places: [UInt64] = []
    private var count = 0
    /// How often a name was not admitted.
    private(set) var refusedCount: UInt64 = 0

    /// Whether a span may have this name. Two names of one hash count as one.
    // bounded: the index is masked, and free places end the search
    func admits(_ name: Span<UInt8>) -> Bool {
        if places.isEmpty { places = [UInt64](repeating: 0, count: Self.placeCount) }
        let hash = Self.hash(name)
        var index = Int(truncatingIfNeeded: hash >> 32) & (Self.placeCount - 1)
        while places[index] != 0 {
            if places[index] == hash { return true }
            index = (index + 1) & (Self.placeCount - 1)
        }
        guard count < Self.limit else {
            refusedCount += 1
            return false
        }
        places[index] = hash
        count += 1
        return true
    }

    /// FNV-1a of 64 bits, never 0.
    private static func hash(_ name: Span<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for index in name.indices { hash = (hash ^ UInt64(name[index])) &* 0x100_0000_01b3 }
        return max(hash ^ hash >> 32 ^ hash << 32, 1)
    }
}
