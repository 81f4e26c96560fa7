// SPDX-License-Identifier: Apache-2.0
import HTTP1

/// Path patterns in one flat piece: every request asks all of them, and an array of arrays would
/// count a reference up and down for each.
struct PathGlobTable {
    private struct Entry: BitwiseCopyable {
        let kind: PathGlob.Kind
        let start: Int
        let count: Int
        /// `nil`: any.
        let method: Method?
    }

    private let entries: [Entry]
    private let text: [UInt8]

    init(_ globs: [PathGlob]) {
        var entries: [Entry] = []
        var text: [UInt8] = []
        for glob in globs {
            entries.append(Entry(kind: glob.kind, start: text.count, count: glob.text.count, method: glob.method))
            text += glob.text
        }
        self.entries = entries
        self.text = text
    }

    /// - Parameter path: without query.
    func matches(_ method: Method, _ path: Span<UInt8>) -> Bool {
        let entries = entries.span
        let text = text.span
        for index in entries.indices {
            let entry = entries[index]
            // Most paths are told apart by that.
            guard path.count >= entry.count, entry.kind != .whole || path.count == entry.count else { continue }
            if let own = entry.method, own != method { continue }
            let start = entry.kind == .ending ? path.count - entry.count : 0
            var offset = 0
            while offset < entry.count, path[start + offset] == text[entry.start + offset] { offset += 1 }
            if offset == entry.count { return true }
        }
        return false
    }
}
