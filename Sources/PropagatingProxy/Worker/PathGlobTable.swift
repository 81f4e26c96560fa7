// SPDX-License-Identifier: Apache-2.0
import HTTP1

/// Path patterns in one flat piece: every request asks all of them, and an array of arrays would
/// count a reference up and down for each.
// bounded: there is a length for each method; a pattern's text lies in ``text``
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
    /// For each method a bit for every length of a path up to 63, whether a pattern may match one; the last bit is for
    /// longer ones too.
    private let lengths: [UInt64]

    init(_ globs: [PathGlob]) {
        var entries: [Entry] = []
        var text: [UInt8] = []
        var lengths = [UInt64](repeating: 0, count: Int(Method.other.rawValue) + 1)
        for glob in globs {
            entries.append(Entry(kind: glob.kind, start: text.count, count: glob.text.count, method: glob.method))
            text += glob.text
            let own: UInt64 = 1 &<< UInt64(min(glob.text.count, 63))
            let bits = glob.kind == .whole ? own : 0 &- own
            for method in lengths.indices where glob.method.map({ Int($0.rawValue) == method }) ?? true {
                lengths[method] |= bits
            }
        }
        self.entries = entries
        self.text = text
        self.lengths = lengths
    }

    /// - Parameter path: without query.
    func matches(_ method: Method, _ path: Span<UInt8>) -> Bool {
        guard lengths[Int(method.rawValue)] &>> UInt64(min(path.count, 63)) & 1 != 0 else { return false }
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
