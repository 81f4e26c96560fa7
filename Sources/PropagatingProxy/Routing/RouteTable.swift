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

    private let conditions: RouteConditions
    /// Groups are the routes with one and the same host pattern; group 0 is that of any host.
    private let hosts: TextIndex
    private let hasHosts: Bool
    /// Exact paths by group, to lists of `exactRoutes`.
    private let exactPaths: TextIndex
    private let exactRoutes: RouteLists
    /// One set per group; a prefix's number is that of its list in `prefixRoutes`.
    private let prefixes: PrefixIndex
    private let prefixRoutes: RouteLists
    /// Positions in `patterns`, one list per group.
    private let patternLists: RouteLists
    private let patterns: [(PathPattern, route: Int)]

    /// - Parameter routes: of one listener, in file order.
    // bounded: groups and numbers are places in members and routes
    init(routes: [Configuration.Route]) {
        conditions = RouteConditions(routes)
        var hosts = TextIndex(capacity: routes.count)
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
        (exactPaths, exactRoutes) = Self.exactPaths(members, of: routes)
        (prefixes, prefixRoutes) = Self.prefixes(members, of: routes)
        (patterns, patternLists) = Self.patterns(members, of: routes)
    }

    // bounded: numbers are places in routes
    private static func prefixes(_ members: [[Int]], of routes: [Configuration.Route]) -> (PrefixIndex, RouteLists) {
        var sets: [[[UInt8]]] = []
        var lists: [[Int]] = []
        for numbers in members {
            var byPrefix: [[UInt8]: [Int]] = [:]
            for number in numbers {
                if case .prefix(let text) = routes[number].match.path { byPrefix[text, default: []].append(number) }
            }
            let sorted = byPrefix.sorted { $0.key.lexicographicallyPrecedes($1.key) }
            sets.append(sorted.map(\.key))
            lists += sorted.map(\.value)
        }
        return (PrefixIndex(sets: sets), RouteLists(lists))
    }

    // bounded: numbers are places in routes
    private static func patterns(
        _ members: [[Int]], of routes: [Configuration.Route]
    ) -> ([(PathPattern, route: Int)], RouteLists) {
        var patterns: [(PathPattern, route: Int)] = []
        let lists = members.map { numbers in
            numbers.compactMap { number -> Int? in
                guard case .regex(let text) = routes[number].match.path, let pattern = PathPattern(text) else {
                    return nil
                }
                patterns.append((pattern, number))
                return patterns.count - 1
            }
        }
        return (patterns, RouteLists(lists))
    }

    // bounded: numbers are places in routes
    private static func exactPaths(_ members: [[Int]], of routes: [Configuration.Route]) -> (TextIndex, RouteLists) {
        var index = TextIndex(capacity: routes.count)
        var found: [[Int]] = []
        for (group, numbers) in members.enumerated() {
            for number in numbers {
                guard case .exact(let text) = routes[number].match.path else { continue }
                let position = index.insert(text, space: group, value: found.count)
                if position == found.count { found.append([]) }
                found[position].append(number)
            }
        }
        return (index, RouteLists(found))
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
        let exact = exactRoutes.isEmpty ? -1 : exactPaths.find(path, space: group)
        if exact >= 0 {
            let route = first(of: exact, in: exactRoutes, method: method, fields: fields, bytes: bytes)
            if route >= 0 { return best.offer(route, rank: Int.max) }
        }
        var prefix = prefixes.longest(path, in: group)
        while prefix >= 0 {
            let route = first(of: prefix, in: prefixRoutes, method: method, fields: fields, bytes: bytes)
            if route >= 0 { return best.offer(route, rank: prefixes.count(prefix)) }
            prefix = prefixes.shorter(than: prefix)
        }
        guard best.rank < 0 else { return }  // a regular expression would not go before it
        for position in patternLists.range(of: group) {
            let (pattern, route) = patterns[patternLists[position]]  // bounded: its lists hold places in patterns
            if pattern.matches(path), conditions.hold(route, method: method, fields: fields, bytes: bytes) {
                return best.offer(route, rank: -1)
            }
        }
    }

    /// The first of a list whose conditions hold; -1 if none.
    private func first(
        of list: Int, in lists: borrowing RouteLists, method: Span<UInt8>, fields: borrowing FieldTable,
        bytes: Span<UInt8>
    ) -> Int {
        for position in lists.range(of: list) {
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
