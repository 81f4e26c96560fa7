// SPDX-License-Identifier: Apache-2.0
import HTTP1

/// Finds the route of a request. One per worker and listener; constant, and a lookup neither
/// allocates nor counts references: all it reads are flat arrays.
///
/// Of the routes whose host, method and headers fit, an exact path goes before the longest prefix,
/// and that before the regular expressions. Between equals the first in the file is taken.
final class RouteTable {
    /// A match so far. Higher ranks go first: regular expressions -1, prefixes their length.
    private struct Best: BitwiseCopyable {
        var route = Int.max
        var rank = -2

        mutating func offer(_ other: Int, rank otherRank: Int) {
            guard otherRank > rank || (otherRank == rank && other < route) else { return }
            route = other
            rank = otherRank
        }
    }

    private static let exactSpace = 0
    private static let suffixSpace = 1

    /// The route of every request: the only one there is, and it asks for nothing. Most listeners have such a one.
    let onlyRoute: Int?
    private let conditions: RouteConditions
    /// Groups are the routes with one and the same host pattern; group 0 is that of any host.
    private let hosts: TextIndex
    private let hasHosts: Bool
    /// Exact paths by group, to their ``Candidates``.
    private let exactPaths: TextIndex
    private let hasExactPaths: Bool
    /// One set per group; the values are ``Candidates``.
    private let prefixes: PrefixIndex
    /// What those lead to that are not the number of one route.
    private let lists: RouteLists
    private let patterns: PatternRoutes

    /// - Parameter routes: of one listener, in file order.
    // bounded: groups and numbers are places in members and routes
    init(routes: [Configuration.Route]) {
        onlyRoute = routes.count == 1 && routes[0].match == Configuration.Match() ? 0 : nil
        conditions = RouteConditions(routes)
        var hosts = TextIndex(capacity: routes.count { $0.match.host != nil })
        var members: [[Int]] = [[]]
        for (number, route) in routes.enumerated() {
            let group =
                switch route.match.host {
                case nil: 0
                case .exact(let text): hosts.insert(text, space: Self.exactSpace, value: members.count)
                case .suffix(let text): hosts.insert(text, space: Self.suffixSpace, value: members.count)
                }
            if group == members.count { members.append([]) }
            members[group].append(number)
        }
        self.hosts = hosts
        hasHosts = members.count > 1
        var lists: [[Int]] = []
        var exactPaths = TextIndex(capacity: routes.count { $0.match.path.isExact })
        var prefixes: [[PrefixIndex.Entry]] = []
        for (group, numbers) in members.enumerated() {
            let (byPath, byPrefix) = Self.byPath(numbers, of: routes)
            for (text, numbers) in byPath {
                let candidates = Candidates(numbers, of: routes, lists: &lists)
                _ = exactPaths.insert(text, space: group, value: candidates.code)
            }
            prefixes.append(
                byPrefix.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { text, numbers in
                    PrefixIndex.Entry(text: text, value: Candidates(numbers, of: routes, lists: &lists).code)
                })
        }
        hasExactPaths = !exactPaths.isEmpty
        self.exactPaths = exactPaths
        self.prefixes = PrefixIndex(sets: prefixes)
        self.lists = RouteLists(lists)
        patterns = PatternRoutes(members, of: routes)
    }

    /// Routes that have one path or prefix, in file order.
    // bounded: numbers are places in routes
    private static func byPath(
        _ numbers: [Int], of routes: [Configuration.Route]
    ) -> (exact: [[UInt8]: [Int]], prefix: [[UInt8]: [Int]]) {
        var exact: [[UInt8]: [Int]] = [:]
        var prefix: [[UInt8]: [Int]] = [:]
        for number in numbers {
            switch routes[number].match.path {
            case .exact(let text): exact[text, default: []].append(number)
            case .prefix(let text): prefix[text, default: []].append(number)
            case .regex: break
            }
        }
        return (exact, prefix)
    }

    /// The index of the route for a request; `nil` if none matches.
    ///
    /// - Parameters:
    ///   - host: the authority as received: any case, with or without a port; may be empty.
    ///   - path: without its query.
    ///   - fields: as parsed from `bytes`.
    func match(
        method: Span<UInt8>, host: Span<UInt8>, path: Span<UInt8>, fields: borrowing FieldTable, bytes: Span<UInt8>
    ) -> Int? {
        var best = Best()
        search(0, method: method, path: path, fields: fields, bytes: bytes, best: &best)
        if hasHosts {
            let name = host.extracting(first: Self.nameCount(host))
            let group = hosts.find(name, space: Self.exactSpace, foldsCase: true)
            if group > 0 { search(group, method: method, path: path, fields: fields, bytes: bytes, best: &best) }
            // `*.example.com` is kept as `.example.com`: try what begins at each dot but a leading one.
            // bounded: start is in the name
            for start in name.indices.dropFirst() where name[start] == UInt8(ascii: ".") {
                let group = hosts.find(
                    name.extracting(start..<name.count), space: Self.suffixSpace, foldsCase: true)
                if group > 0 { search(group, method: method, path: path, fields: fields, bytes: bytes, best: &best) }
            }
        }
        return best.route == Int.max ? nil : best.route
    }

    private func search(
        _ group: Int, method: Span<UInt8>, path: Span<UInt8>, fields: borrowing FieldTable, bytes: Span<UInt8>,
        best: inout Best
    ) {
        let exact = hasExactPaths ? exactPaths.find(path, space: group) : -1
        if exact >= 0 {
            let route = first(of: Candidates(code: exact), method: method, fields: fields, bytes: bytes)
            if route >= 0 { return best.offer(route, rank: Int.max) }
        }
        var prefix = prefixes.longest(path, in: group)
        while let found = prefix {
            let route = first(of: Candidates(code: found.value), method: method, fields: fields, bytes: bytes)
            if route >= 0 { return best.offer(route, rank: found.count) }
            prefix = prefixes.longest(path, in: group, shorterThan: found.count)
        }
        guard best.rank < 0 else { return }  // a regular expression would not go before it
        for position in patterns.range(of: group) where patterns.mayMatch(position, path) {
            let route = patterns.route(position)
            if conditions.hold(route, method: method, fields: fields, bytes: bytes), patterns.matches(position, path) {
                return best.offer(route, rank: -1)
            }
        }
    }

    /// The first candidate whose conditions hold; -1 if none.
    private func first(
        of candidates: Candidates, method: Span<UInt8>, fields: borrowing FieldTable, bytes: Span<UInt8>
    ) -> Int {
        if let route = candidates.soleRoute { return route }
        for position in lists.range(of: candidates.list) {
            let route = lists[position]  // bounded: a position of the list
            if conditions.hold(route, method: method, fields: fields, bytes: bytes) { return route }
        }
        return -1
    }

    /// Bytes before the port and the root's dot.
    // bounded: index goes down from the count
    private static func nameCount(_ authority: Span<UInt8>) -> Int {
        var end = authority.count
        var index = end
        while index > 0 {
            index -= 1
            if authority[index] == UInt8(ascii: "]") { break }  // colons before it are of an IPv6 address
            if authority[index] == UInt8(ascii: ":") {
                end = index
                break
            }
        }
        if end > 1, authority[end - 1] == UInt8(ascii: ".") { end -= 1 }
        return end
    }
}
