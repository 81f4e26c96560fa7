// SPDX-License-Identifier: Apache-2.0
import HTTP1
import Propagation
import Testing

@testable import PropagatingProxy

private typealias Match = Configuration.Match

private func route(_ match: Match) -> Configuration.Route {
    Configuration.Route(
        name: "r", match: match, rewrite: .none, hostReplacement: [], upstream: 0, sampling: .inherit, reply: nil,
        responseMilliseconds: nil)
}

private func prefix(_ text: String, host: Configuration.HostMatch? = nil) -> Match {
    Match(host: host, path: .prefix(Array(text.utf8)))
}

private func exact(_ text: String) -> Match { Match(path: .exact(Array(text.utf8))) }

/// The index of the route that a whole request head finds.
private func find(
    _ matches: [Match], _ path: String, method: String = "GET", host: String = "a.example", headers: String = ""
) throws -> Int? {
    let table = RouteTable(routes: matches.map { route($0) })
    let bytes = Array("\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\n\(headers)\r\n".utf8)
    var fields = FieldTable()
    guard
        case .complete(let head) = try parseRequestHead(
            bytes.span, alreadySeen: 0, limits: HeadLimits(), fields: &fields)
    else { return nil }
    return table.match(
        method: bytes.span.extracting(head.methodText.range), host: bytes.span.extracting(head.authority.range),
        path: bytes.span.extracting(head.path.range).extracting(first: Int(head.pathCount)), fields: fields,
        bytes: bytes.span)
}

@Suite("Route table")
struct RouteTableTests {
    @Test("An exact path goes before the longest prefix, and that before regular expressions")
    func order() throws {
        let matches = [Match(path: .regex("/[a-c]+/x")), prefix("/"), prefix("/abc"), exact("/abc/x")]
        #expect(try find(matches, "/abc/x?y=/") == 3)
        #expect(try find(matches, "/abc/xy") == 2)
        #expect(try find(matches, "/b/x") == 1)
        #expect(try find([Match(path: .regex("/[a-c]+/x"))], "/b/x?q") == 0)
        #expect(try find([Match(path: .regex("/a|/b"))], "/bb") == nil)
    }

    @Test("The only route of a listener is found without a search, if it asks for nothing")
    func onlyRoute() {
        #expect(RouteTable(routes: [route(Match())]).onlyRoute == 0)
        let others: [[Match]] = [
            [], [Match(), Match()], [prefix("/a")], [exact("/")], [prefix("/", host: .exact(Array("a".utf8)))],
            [Match(path: .regex("/.*"))], [Match(methods: [Array("GET".utf8)])],
            [Match(headers: [Configuration.HeaderMatch(name: Array("a".utf8), condition: .present)])],
        ]
        for matches in others {
            #expect(RouteTable(routes: matches.map { route($0) }).onlyRoute == nil)
        }
    }

    @Test("Between equals the first in the file is taken; a prefix is plain text")
    func fileOrder() throws {
        #expect(try find([prefix("/a"), prefix("/a")], "/apis") == 0)
    }

    @Test("Hosts match in any case, without port; a star stands for one label or more")
    func hosts() throws {
        let matches = [
            prefix("/", host: .exact(Array("app.example".utf8))),
            prefix("/", host: .suffix(Array(".example.com".utf8))),
        ]
        #expect(try find(matches, "/", host: "APP.example:8080") == 0)
        #expect(try find(matches, "/", host: "a.b.Example.com") == 1)
        #expect(try find(matches, "/", host: "example.com") == nil)
        #expect(try find(matches, "/", host: "other") == nil)
    }

    @Test("A route whose method or headers do not fit leaves the request to the next best")
    func conditions() throws {
        var post = exact("/a")
        post.methods = [Array("POST".utf8)]
        var beta = prefix("/a")
        beta.headers = [.init(name: Array("x-beta".utf8), condition: .value(Array("1".utf8)))]
        let matches = [post, beta, prefix("/")]
        #expect(try find(matches, "/a") == 2)
        #expect(try find(matches, "/a", method: "POST") == 0)
        #expect(try find(matches, "/a", headers: "X-Beta: 0\r\nX-BETA: 1\r\n") == 1)
    }

    @Test("Prefixes answer as a plain search does")
    func law() throws {
        var random = SystemRandomNumberGenerator()
        let letters = Array("ab/".utf8)
        let texts = (0..<300).map { _ in
            [UInt8(ascii: "/")]
                + (0..<Int.random(in: 0...8, using: &random)).map { _ in letters.randomElement(using: &random) ?? 97 }
        }
        let sorted = Set(texts).sorted { $0.lexicographicallyPrecedes($1) }
        let entries = sorted.enumerated().map { PrefixIndex.Entry(text: $1, value: $0) }
        let index = PrefixIndex(sets: [[], entries, []])
        for _ in 0..<2000 {
            let path = [UInt8(ascii: "/")] + (0..<10).map { _ in letters.randomElement(using: &random) ?? 97 }
            for limit in [Int.max, 4, 0] {
                let plain = texts.filter { path.starts(with: $0) && $0.count < limit }.map(\.count).max()
                let found = index.longest(path.span, in: 1, shorterThan: limit)
                #expect(found?.count == plain)
                if let found { #expect(sorted[found.value] == Array(path.prefix(found.count))) }
            }
            #expect(index.longest(path.span, in: 0) == nil)
        }
    }

    @Test("Prefixes of any length and with any bytes are found, and a path that ends within one is not")
    func longPrefixes() throws {
        let long = [UInt8](repeating: 97, count: 70_000)
        let wide = (0...255).map { long + [UInt8($0)] }
        let entries = ([long] + wide).enumerated().map { PrefixIndex.Entry(text: $1, value: $0) }
        let index = PrefixIndex(sets: [entries])
        for (value, text) in ([long] + wide).enumerated() {
            let path = text + [0]
            #expect(index.longest(path.span, in: 0)?.value == (value == 0 ? 1 : value))
        }
        #expect(index.longest(long.span, in: 0)?.count == 70_000)
        for shorter in [Array(long.dropLast()), []] { #expect(index.longest(shorter.span, in: 0) == nil) }
    }

    @Test("Among nested prefixes the longest is taken whose conditions hold")
    func nested() throws {
        var matches = (1...4).map { prefix("/" + String(repeating: "a", count: $0)) }
        for index in [0, 2, 3] { matches[index].methods = [Array("POST".utf8)] }
        #expect(try find(matches, "/aaaaa") == 1)
        #expect(try find(matches, "/aaaaa", method: "POST") == 3)
        #expect(try find(matches, "/a") == nil)
        #expect(try find(matches + [prefix("/aaa")], "/aaaa") == 4)
        #expect(try find(matches + [prefix("/aaa")], "/aaa", method: "POST") == 2)
    }

    @Test("Regular expressions are tried in file order, whatever they begin with")
    func patternOrder() throws {
        let patterns = ["/b/.*", "/a.?/x", "/a/[xy]", "^/c$", "/(a|d)/y"].map { Match(path: .regex($0)) }
        #expect(try find(patterns, "/a/x") == 1)
        #expect(try find(patterns, "/a/y") == 2)
        #expect(try find(patterns, "/d/y") == 4)
        #expect(try find(patterns, "/c") == 3)
        #expect(try find(patterns, "/e") == nil)
    }

    @Test(
        "A pattern's beginning ends before what may be absent",
        arguments: [
            ("/api/v[0-9]+", "/api/v"), ("/a|/b", ""), ("/(a|b)/c", "/"), ("/ab*c", "/a"), ("/ab?c", "/a"),
            ("/ab{0,1}c", "/a"), ("/ab+", "/a"), ("^/x$", "/x"), ("/a\\.b\\w", "/a.b"), ("(/a)", ""), ("/a)*b", ""),
            ("/[(]a)*", ""), ("/a[|)]b", "/a"), ("/[[:digit:]]+", ""), ("/a/b", "/a/b"), ("/a^b", "/a"), ("/\\", "/"),
            ("^*/a", ""), ("/é", "/"),
        ])
    func beginning(pattern: String, beginning: String) {
        #expect(PatternBeginning.of(pattern) == Array(beginning.utf8))
    }

    @Test("No path that matches a pattern begins otherwise")
    func beginningLaw() throws {
        var random = SystemRandomNumberGenerator()
        func text(_ letters: String, _ count: Int) -> String {
            String((0..<count).map { _ in letters.randomElement(using: &random) ?? "a" })
        }
        var matchCount = 0
        for _ in 0..<20_000 {
            let written =
                text("/aabb", Int.random(in: 0...3, using: &random))
                + text("aab/^$.[]|()*+?{}\\1,", Int.random(in: 1...7, using: &random))
            guard let pattern = PathPattern(written) else { continue }
            let beginning = PatternBeginning.of(written)
            guard !beginning.isEmpty else { continue }
            for _ in 0..<20 {
                let path = Array(text("/ab().|", Int.random(in: 0...5, using: &random)).utf8)
                guard pattern.matches(path.span) else { continue }
                matchCount += 1
                #expect(path.starts(with: beginning), "\(written) \(String(decoding: path, as: UTF8.self))")
            }
        }
        #expect(matchCount > 100)
    }

    @Test("Paths that are not sampled match whole, at their beginning or at their end")
    func globs() throws {
        func matches(_ pattern: String, _ path: String, _ method: HTTP1.Method = .get) throws -> Bool {
            PathGlobTable([try #require(PathGlob(pattern))]).matches(method, Array(path.utf8).span)
        }
        #expect(try matches("/health", "/health"))
        #expect(try !matches("/health", "/healthy"))
        #expect(try matches("/grpc.health.v1.*", "/grpc.health.v1.Health/Check"))
        #expect(try matches("*/api/v2/spans", "/adapt_x@y/api/v2/spans"))
        #expect(try matches("POST */api/v2/spans", "/x/api/v2/spans", .post))
        #expect(try !matches("POST */api/v2/spans", "/x/api/v2/spans"))
        let long = "/" + String(repeating: "a", count: 70)
        #expect(try matches(long, long) && !matches(long, long + "a") && !matches(long, String(long.dropLast())))
        #expect(try matches("\(long)*", long + "b") && matches("*\(long)", "/b" + long))
        #expect(try matches("POST \(long)", long, .post) && !matches("POST \(long)", long))
        #expect(PathGlob("health") == nil && PathGlob("post /a") == nil && PathGlob("POST") == nil)
    }

    @Test("A back reference in a pattern is refused")
    func backReference() {
        #expect(PathPattern("(a)\\1") == nil)
        #expect(PathPattern.mistake(in: "/v[0-9]+") == nil)
    }
}
