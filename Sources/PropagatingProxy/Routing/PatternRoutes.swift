// SPDX-License-Identifier: Apache-2.0

/// The routes with a regular expression, by group in file order.
///
/// They are tried one after the other, so what every match of a pattern begins with stands beside it in flat arrays: most
/// patterns are ruled out by a few bytes, and their expressions are not run.
// bounded: lists and positions come from init and range(of:) alone
struct PatternRoutes {
    private struct Entry: BitwiseCopyable {
        /// Of the pattern's ``PatternBeginning`` in the pool.
        var start: Int32
        var count: Int32
        var route: Int32
    }

    private var entries: [Entry] = []
    private var patterns: [PathPattern] = []
    private var pool: [UInt8] = []
    /// Where the entries of each group begin, and where those of the last one end.
    private var bounds: [Int32] = [0]

    /// - Parameter members: numbers of routes in file order, by group.
    init(_ members: [[Int]], of routes: [Configuration.Route]) {
        for numbers in members {
            for number in numbers {
                guard case .regex(let text) = routes[number].match.path, let pattern = PathPattern(text) else {
                    continue
                }
                let beginning = PatternBeginning.of(text)
                entries.append(
                    Entry(start: Int32(pool.count), count: Int32(beginning.count), route: Int32(number)))
                patterns.append(pattern)
                pool += beginning
            }
            bounds.append(Int32(entries.count))
        }
    }

    /// Positions of one group's routes.
    func range(of group: Int) -> Range<Int> { Int(bounds.span[group])..<Int(bounds.span[group + 1]) }

    /// Whether the path begins as every match of the pattern does.
    func mayMatch(_ position: Int, _ path: Span<UInt8>) -> Bool {
        let entry = entries.span[position]
        let pool = pool.span
        guard path.count >= Int(entry.count) else { return false }
        for index in 0..<Int(entry.count) where pool[Int(entry.start) + index] != path[index] { return false }
        return true
    }

    func route(_ position: Int) -> Int { Int(entries.span[position].route) }

    func matches(_ position: Int, _ path: Span<UInt8>) -> Bool { patterns[position].matches(path) }
}
