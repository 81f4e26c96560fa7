// SPDX-License-Identifier: Apache-2.0

/// Constant sets of texts, asked for the longest that a path begins with.
///
/// A tree for each set: what texts have in common at their beginning is compared once, and each byte behind it leads to
/// another node. A search costs as many nodes as there are branches on the way, however many texts there are, and
/// touches little memory but those: a request of one among thousands of routes finds hardly any of its own in a cache.
// bounded: numbers of nodes and places in the pool come from init alone; bytes of the path are compared with its count
struct PrefixIndex: Sendable {
    /// Sixteen bytes, so that none lies in two cache lines.
    private struct Node: BitwiseCopyable {
        /// Of the bytes behind its first one, in the pool.
        var start: Int32
        var count: UInt16
        /// 0 to 256, one behind the other, by their first bytes.
        var childCount: UInt16 = 0
        var firstChild: Int32 = 0
        /// Of the text that ends here; -1: none does.
        var value: Int32 = -1
    }

    /// A text of a set, and what stands for it: 0 or more.
    struct Entry {
        var text: [UInt8]
        var value: Int
    }

    /// The longest text a path begins with.
    struct Found: BitwiseCopyable {
        var value: Int
        /// Bytes of the text.
        var count: Int
    }

    /// The first are the roots, one for each set.
    private var nodes: [Node] = []
    /// Of each node, beside the nodes: those of one's children stand together.
    private var firstBytes: [UInt8] = []
    private var pool: [UInt8] = []

    /// - Parameter sets: each sorted byte by byte, no two texts of it alike.
    init(sets: [[Entry]]) {
        var branches = sets.map { Branch(entries: $0[...], start: 0) }
        for _ in sets { appendNode(firstByte: 0) }
        var number = 0
        while number < branches.count {
            grow(number, &branches)
            number += 1
        }
    }

    /// What lies below a node that is not made yet: texts that have `start` bytes in common.
    private struct Branch {
        var entries: ArraySlice<Entry>
        var start: Int
    }

    private mutating func appendNode(firstByte: UInt8) {
        nodes.append(Node(start: 0, count: 0))
        firstBytes.append(firstByte)
    }

    /// Makes a node whose place is there, and places for its children.
    private mutating func grow(_ number: Int, _ branches: inout [Branch]) {
        var entries = branches[number].entries
        let start = branches[number].start
        guard let first = entries.first?.text, let last = entries.last?.text else { return }
        // Sorted: what the first and the last have in common, all have.
        var end = start
        while end < min(first.count, last.count, start + Int(UInt16.max)), first[end] == last[end] { end += 1 }
        nodes[number].start = Int32(pool.count)
        nodes[number].count = UInt16(end - start)
        pool += first[start..<end]
        if first.count == end { nodes[number].value = Int32(entries.removeFirst().value) }
        nodes[number].firstChild = Int32(nodes.count)
        while let byte = entries.first?.text[end] {
            let children = entries.prefix { $0.text[end] == byte }
            entries = entries.dropFirst(children.count)
            appendNode(firstByte: byte)
            branches.append(Branch(entries: children, start: end + 1))
            nodes[number].childCount += 1
        }
    }

    /// The longest text of a set that the path begins with, of those with fewer bytes than `limit`.
    func longest(_ path: Span<UInt8>, in set: Int, shorterThan limit: Int = .max) -> Found? {
        let nodes = nodes.span
        let pool = pool.span
        var found: Found?
        var number = set
        var end = 0
        while number >= 0 {
            let node = nodes[number]
            let count = Int(node.count)
            guard path.count - end >= count else { break }
            var index = 0
            while index < count, pool[Int(node.start) + index] == path[end + index] { index += 1 }
            guard index == count else { break }
            end += count
            guard end < limit else { break }
            if node.value >= 0 { found = Found(value: Int(node.value), count: end) }
            guard end < path.count else { break }
            number = child(of: node, path[end])
            end += 1
        }
        return found
    }

    /// -1: none has this first byte.
    private func child(of node: Node, _ byte: UInt8) -> Int {
        let firstBytes = firstBytes.span
        var low = Int(node.firstChild)
        let end = low + Int(node.childCount)
        var high = end
        while low < high {
            let middle = (low + high) / 2
            if firstBytes[middle] < byte { low = middle + 1 } else { high = middle }
        }
        return low < end && firstBytes[low] == byte ? low : -1
    }
}
