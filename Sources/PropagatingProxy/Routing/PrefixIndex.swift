// SPDX-License-Identifier: Apache-2.0

/// A constant set of texts, asked for those that a path begins with, the longest first.
///
/// Texts are sorted; each knows the longest other one it begins with. The last text not above the
/// path leads to every match by way of these links, so a search costs a logarithm.
struct PrefixIndex: Sendable {
    private struct Node: BitwiseCopyable {
        var start: Int32
        var count: Int32
        /// -1: none.
        var parent: Int32
    }

    private var nodes: [Node] = []
    private var pool: [UInt8] = []

    /// - Parameter texts: sorted byte by byte, no two alike. Their positions are their numbers.
    init(sorted texts: [[UInt8]]) {
        for text in texts {
            var parent = nodes.count - 1
            while parent >= 0, !text.starts(with: texts[parent]) { parent = Int(nodes[parent].parent) }
            nodes.append(Node(start: Int32(pool.count), count: Int32(text.count), parent: Int32(parent)))
            pool += text
        }
    }

    /// The longest text the path begins with; -1 if there is none.
    func longest(_ path: Span<UInt8>) -> Int {
        let nodes = nodes.span
        var low = 0
        var high = nodes.count
        while low < high {
            let middle = (low + high) / 2
            if isAbove(nodes[middle], path) { high = middle } else { low = middle + 1 }
        }
        var found = low - 1
        guard found >= 0 else { return -1 }
        let common = commonCount(nodes[found], path)
        while found >= 0, Int(nodes[found].count) > common { found = Int(nodes[found].parent) }
        return found
    }

    /// The next shorter text that this one begins with; -1 if there is none.
    func shorter(than number: Int) -> Int { Int(nodes.span[number].parent) }

    func count(_ number: Int) -> Int { Int(nodes.span[number].count) }

    private func commonCount(_ node: Node, _ path: Span<UInt8>) -> Int {
        let pool = pool.span
        let limit = min(Int(node.count), path.count)
        var index = 0
        while index < limit, pool[Int(node.start) + index] == path[index] { index += 1 }
        return index
    }

    private func isAbove(_ node: Node, _ path: Span<UInt8>) -> Bool {
        let common = commonCount(node, path)
        if common == Int(node.count) { return false }
        if common == path.count { return true }
        return pool.span[Int(node.start) + common] > path[common]
    }
}
