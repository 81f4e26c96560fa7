// SPDX-License-Identifier: Apache-2.0

/// Constant sets of texts, asked for those that a path begins with, the longest first.
///
/// Texts of a set are sorted; each knows the longest other one it begins with. The last text not
/// above the path leads to every match by way of these links, so a search costs a logarithm.
// bounded: numbers of nodes and places in the pool come from init alone, and the path is compared up to the lesser count
struct PrefixIndex: Sendable {
    private struct Node: BitwiseCopyable {
        var start: Int32
        var count: Int32
        /// -1: none.
        var parent: Int32
    }

    private var nodes: [Node] = []
    private var pool: [UInt8] = []
    /// Where the nodes of each set begin, and where those of the last one end.
    private var bounds: [Int32] = [0]

    /// - Parameter sets: each sorted byte by byte, no two texts of it alike. Texts are numbered in
    ///   this order over all sets.
    init(sets: [[[UInt8]]]) {
        for texts in sets {
            let first = nodes.count
            for text in texts {
                var parent = nodes.count - 1
                while parent >= first, !text.starts(with: texts[parent - first]) { parent = Int(nodes[parent].parent) }
                let link = parent >= first ? parent : -1
                nodes.append(Node(start: Int32(pool.count), count: Int32(text.count), parent: Int32(link)))
                pool += text
            }
            bounds.append(Int32(nodes.count))
        }
    }

    /// The longest text of a set that the path begins with; -1 if there is none.
    func longest(_ path: Span<UInt8>, in set: Int) -> Int {
        let nodes = nodes.span
        let pool = pool.span
        let first = Int(bounds.span[set])
        var low = first
        var high = Int(bounds.span[set + 1])
        // How many bytes the path shares with the text before `low` and with the one at `high`.
        // Every text between shares as many as the less similar of the two: those are not compared again.
        var lowCommon = 0
        var highCommon = 0
        while low < high {
            let middle = (low + high) / 2
            let node = nodes[middle]
            let limit = min(Int(node.count), path.count)
            var common = min(lowCommon, highCommon)
            while common < limit, pool[Int(node.start) + common] == path[common] { common += 1 }
            if common == limit ? limit < node.count : pool[Int(node.start) + common] > path[common] {
                high = middle
                highCommon = common
            } else {
                low = middle + 1
                lowCommon = common
            }
        }
        guard low > first else { return -1 }
        var found = low - 1
        while found >= 0, Int(nodes[found].count) > lowCommon { found = Int(nodes[found].parent) }
        return found
    }

    /// The next shorter text that this one begins with; -1 if there is none.
    func shorter(than number: Int) -> Int { Int(nodes.span[number].parent) }

    func count(_ number: Int) -> Int { Int(nodes.span[number].count) }
}
