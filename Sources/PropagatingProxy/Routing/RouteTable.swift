// SPDX-License-Identifier: Apache-2.0
import HTTP1

/// Finds the route of a request. One per worker and listener; constant, and a lookup allocates nothing.
///
/// Of the routes whose host, method and headers fit, an exact path goes before the longest prefix,
/// and that before the regular expressions. Between equals the first in the file is taken.
final class RouteTable {
    /// Routes with one and the same host pattern.
    private struct Group {
        var prefixes = PrefixIndex(sorted: [])
        /// Routes by the number of their prefix, in file order.
        var prefixRoutes: [[Int]] = []
        /// In file order.
        var patterns: [(PathPattern, Int)] = []
    }

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

    private let conditions: [RouteConditions]
    /// Group 0 is that of the routes for any host.
    private let groups: [Group]
    private let hosts: TextIndex
    private let hasHosts: Bool
    /// Exact paths by group, to positions in `exactRoutes`.
    private let exactPaths: TextIndex
    private let exactRoutes: [[Int]]

    /// - Parameter routes: of one listener, in file order.
    init(routes: [Configuration.Route]) {
        conditions = routes.map { RouteConditions($0.match) }
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
        groups = members.map { Self.group($0, of: routes) }
        (exactPaths, exactRoutes) = Self.exactPaths(members, of: routes)
    }

    private static func group(_ members: [Int], of routes: [Configuration.Route]) -> Group {
        var byPrefix: [[UInt8]: [Int]] = [:]
        var group = Group()
        for number in members {
            switch routes[number].match.path {
            case .exact: break
            case .prefix(let text): byPrefix[text, default: []].append(number)
            case .regex(let text): if let pattern = PathPattern(text) { group.patterns.append((pattern, number)) }
            }
        }
        let sorted = byPrefix.keys.sorted { $0.lexicographicallyPrecedes($1) }
        group.prefixes = PrefixIndex(sorted: sorted)
        group.prefixRoutes = sorted.map { byPrefix[$0, default: []] }
        return group
    }

    private static func exactPaths(_ members: [[Int]], of routes: [Configuration.Route]) -> (TextIndex, [[Int]]) {
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
        return (index, found)
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
            let route = first(exactRoutes[exact], method: method, fields: fields, bytes: bytes)
            if route >= 0 { return best.offer(route, rank: Int.max) }
        }
        var prefix = groups[group].prefixes.longest(path)
        while prefix >= 0 {
            let route = first(groups[group].prefixRoutes[prefix], method: method, fields: fields, bytes: bytes)
            if route >= 0 { return best.offer(route, rank: groups[group].prefixes.count(prefix)) }
            prefix = groups[group].prefixes.shorter(than: prefix)
        }
        guard best.rank < 0 else { return }  // a regular expression would not go before it
        for index in groups[group].patterns.indices {
            let (pattern, route) = groups[group].patterns[index]
            if pattern.matches(path), conditions[route].hold(method: method, fields: fields, bytes: bytes) {
                return best.offer(route, rank: -1)
            }
        }
    }

    /// The first of these whose conditions hold; -1 if none.
    private func first(
        _ routes: [Int], method: Span<UInt8>, fields: borrowing FieldTable, bytes: Span<UInt8>
    ) -> Int {
        for route in routes where conditions[route].hold(method: method, fields: fields, bytes: bytes) { return route }
        return -1
    }

    /// Bytes before the port and the root's dot.
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
