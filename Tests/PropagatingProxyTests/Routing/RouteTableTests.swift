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
        let index = PrefixIndex(sets: [Set(texts).sorted { $0.lexicographicallyPrecedes($1) }])
        for _ in 0..<2000 {
            let path = [UInt8(ascii: "/")] + (0..<10).map { _ in letters.randomElement(using: &random) ?? 97 }
            let plain = texts.filter { path.starts(with: $0) }.map(\.count).max()
            let found = index.longest(path.span, in: 0)
            #expect((found < 0 ? nil : index.count(found)) == plain)
        }
    }

    @Test("Paths that are not sampled match whole, at their beginning or at their end")
    func globs() throws {
        func matches(_ pattern: String, _ path: String, _ method: HTTP1.Method = .get) throws -> Bool {
            try #require(PathGlob(pattern)).matches(method, Array(path.utf8).span)
        }
        #expect(try matches("/health", "/health"))
        #expect(try !matches("/health", "/healthy"))
        #expect(try matches("/grpc.health.v1.*", "/grpc.health.v1.Health/Check"))
        #expect(try matches("*/api/v2/spans", "/adapt_x@y/api/v2/spans"))
        #expect(try matches("POST */api/v2/spans", "/x/api/v2/spans", .post))
        #expect(try !matches("POST */api/v2/spans", "/x/api/v2/spans"))
        #expect(PathGlob("health") == nil && PathGlob("post /a") == nil && PathGlob("POST") == nil)
    }

    @Test("A back reference in a pattern is refused")
    func backReference() {
        #expect(PathPattern("(a)\\1") == nil)
        #expect(PathPattern.mistake(in: "/v[0-9]+") == nil)
    }
}
