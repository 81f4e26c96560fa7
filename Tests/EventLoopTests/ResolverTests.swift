// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import EventLoop

@Suite("Names become addresses without blocking")
struct ResolverTests {
    let loop: EventLoop
    let directory = TemporaryDirectory()
    init() throws { loop = try EventLoop() }

    private let six: [UInt8] = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]

    private func resolver(_ server: FakeNameServer?, resolvConf: String? = nil, hosts: String = "") throws -> Resolver {
        try Resolver(
            on: loop, hosts: directory.file("hosts", hosts),
            resolvConf: resolvConf.map { directory.file("resolv.conf", $0) }, servers: server.map { [$0.address] } ?? []
        )
    }

    private func outcome(_ resolver: Resolver, _ host: String) -> ResolveOutcome? {
        var outcome: ResolveOutcome?
        resolver.resolve(host, port: 80) {
            #expect(outcome == nil, "told twice")
            outcome = $0
        }
        drive(loop) { outcome != nil }
        return outcome
    }

    private func addresses(_ texts: String..., seconds: Int) -> ResolveOutcome {
        .addresses(texts.compactMap { SocketAddress(literal: $0, port: 80) }, timeToLiveSeconds: seconds)
    }

    @Test("IPv4 comes before IPv6, with the smaller time to live")
    func both() throws {
        let server = try FakeNameServer(on: loop) { [six] _, isSix in
            isSix ? .addresses([six], seconds: 7) : .addresses([[10, 0, 0, 1], [10, 0, 0, 2]], seconds: 30)
        }
        #expect(
            outcome(try resolver(server), "web.example")
                == addresses("10.0.0.1", "10.0.0.2", "2001:db8::5", seconds: 7))
    }

    @Test("A name with one family only is found", arguments: [true, false])
    func oneFamily(isSixOnly: Bool) throws {
        let server = try FakeNameServer(on: loop) { [six] _, isSix in
            guard isSix == isSixOnly else { return .noAddress }
            return .addresses([isSix ? six : [10, 0, 0, 1]], seconds: 60)
        }
        #expect(
            outcome(try resolver(server), "web.example")
                == addresses(isSixOnly ? "2001:db8::5" : "10.0.0.1", seconds: 60))
    }

    @Test("A server that is silent about IPv6 delays IPv4 by half a second only")
    func silentSix() throws {
        let server = try FakeNameServer(on: loop) { _, isSix in
            isSix ? .silence : .addresses([[10, 0, 0, 1]], seconds: 60)
        }
        let resolver = try resolver(nil, resolvConf: "nameserver \(server.address)\noptions timeout:60\n")
        let start = Clock.monotonicMicroseconds
        #expect(outcome(resolver, "web.example") == addresses("10.0.0.1", seconds: 60))
        #expect(Clock.monotonicMicroseconds - start < 30_000_000, "it waited for the silent answer")
    }

    @Test("A name that does not exist, a failing server and a bad name are failures with a reason")
    func failures() throws {
        let server = try FakeNameServer(on: loop) { name, _ in name == "broken" ? .serverFailure : .noSuchName }
        let resolver = try resolver(server)
        #expect(outcome(resolver, "nowhere.example") == .failed(reason: "name does not exist"))
        #expect(outcome(resolver, "broken") == .failed(reason: "name server timed out or failed"))
        for bad in ["", ".", "a..b", String(repeating: "a", count: 64), "a b", "ä.example", "x\0y", "a\n"] {
            #expect(outcome(resolver, bad) == .failed(reason: "not a host name"), "\(bad)")
        }
        let long = Array(repeating: "abcdefgh", count: 29).joined(separator: ".")
        #expect(outcome(resolver, long) == .failed(reason: "not a host name"))
    }

    @Test("Literals and localhost need no server and answer at once")
    func withoutServer() throws {
        let resolver = try resolver(nil)
        for (host, expected) in [
            ("127.0.0.1", addresses("127.0.0.1", seconds: Resolver.forever)),
            ("::1", addresses("::1", seconds: Resolver.forever)),
            ("[::1]", addresses("::1", seconds: Resolver.forever)),
            ("LocalHost", addresses("127.0.0.1", "::1", seconds: Resolver.forever)),
            ("app.localhost.", addresses("127.0.0.1", "::1", seconds: Resolver.forever)),
        ] {
            var seen: ResolveOutcome?
            resolver.resolve(host, port: 80) { seen = $0 }
            #expect(seen == expected, "\(host)")
        }
    }

    @Test("Without a name server a query fails at once, whether resolv.conf is absent, empty or rubbish")
    func noServer() throws {
        for text in [nil, "", "nameserver\nsearch\noptions ndots:x timeout:\n\u{0}", "nameserver not.an.address\n"] {
            let resolver = try resolver(nil, resolvConf: text)
            var seen: ResolveOutcome?
            resolver.resolve("web.example", port: 80) { seen = $0 }
            #expect(seen == .failed(reason: "no name server is configured"), "\(text ?? "absent")")
        }
        let absent = try Resolver(on: loop, hosts: "/nonexistent/hosts", resolvConf: "/nonexistent/resolv.conf")
        var seen: ResolveOutcome?
        absent.resolve("web.example", port: 80) { seen = $0 }
        #expect(seen == .failed(reason: "no name server is configured"))
    }

    @Test("A resolv.conf that appears later is used")
    func laterResolvConf() throws {
        let server = try FakeNameServer(on: loop) { _, isSix in
            isSix ? .noAddress : .addresses([[10, 0, 0, 1]], seconds: 60)
        }
        let resolver = try resolver(nil, resolvConf: "")
        #expect(outcome(resolver, "web.example") == .failed(reason: "no name server is configured"))
        _ = directory.file("resolv.conf", "nameserver \(server.address)\n")
        #expect(outcome(resolver, "web.example") == addresses("10.0.0.1", seconds: 60))
    }

    @Test("The hosts file goes before the name server, whatever the case, comments ignored")
    func hosts() throws {
        let server = try FakeNameServer(on: loop) { _, _ in .noSuchName }
        let resolver = try resolver(
            server, hosts: "# 9.9.9.9 web\n::5 web.example\n10.0.0.7\tother WEB.example # x\nrubbish web.example\n")
        #expect(outcome(resolver, "Web.Example.") == addresses("10.0.0.7", "::5", seconds: 60))
        #expect(server.asked.isEmpty)
    }

    @Test("Both families come from the same search domain, never from a wildcard in a later one")
    func search() throws {
        let server = try FakeNameServer(on: loop) { [six] name, isSix in
            switch (name, isSix) {
            case ("reviews.ns.svc.example", false): .addresses([[10, 0, 0, 1]], seconds: 60)
            case ("reviews.ns.svc.example", true): .noAddress
            case ("reviews.corp.example", _): .addresses([isSix ? six : [192, 0, 2, 1]], seconds: 60)
            default: .noSuchName
            }
        }
        let resolver = try resolver(
            nil,
            resolvConf: """
                nameserver \(server.address)
                search none.example ns.svc.example. corp.example
                options ndots:5 timeout:60
                """)
        #expect(outcome(resolver, "reviews") == addresses("10.0.0.1", seconds: 60))
        #expect(
            server.asked.map(\.name)
                == ["reviews.none.example", "reviews.none.example", "reviews.ns.svc.example", "reviews.ns.svc.example"])
    }

    @Test("A name goes out whole first when it has ndots dots, and only whole with a final dot")
    func candidates() {
        let search = NameSearch(resolvConf: "domain x\nsearch a b\n; search c\noptions ndots:2 timeout:1")
        #expect(search == NameSearch(resolvConf: "search a b\noptions ndots:2"))
        #expect(search.candidates(for: "h") == ["h.a", "h.b", "h"])
        #expect(search.candidates(for: "h.i.j") == ["h.i.j", "h.i.j.a", "h.i.j.b"])
        #expect(search.candidates(for: "h.") == ["h"])
        #expect(search.candidates(for: "..") == [])
    }

    @Test("A silent server is a failure after a few tries, and no hang")
    func silence() throws {
        let server = try FakeNameServer(on: loop) { _, _ in .silence }
        let resolver = try resolver(
            nil, resolvConf: "nameserver \(server.address)\noptions timeout:1 attempts:1\n")
        #expect(outcome(resolver, "web.example") == .failed(reason: "name server timed out or failed"))
    }

    @Test("Nothing is told after a query was cancelled or the resolver has ended")
    func cancelled() throws {
        let server = try FakeNameServer(on: loop) { _, _ in .addresses([[10, 0, 0, 1]], seconds: 1) }
        var resolver: Resolver? = try resolver(server)
        let query = resolver?.resolve("a.example", port: 80) { _ in Issue.record("it was cancelled") }
        query?.cancel()
        drive(loop) { server.asked.count >= 2 }
        drive(loop, seconds: 0.05) { false }
        resolver?.resolve("b.example", port: 80) { _ in Issue.record("its resolver has ended") }
        resolver = nil
        drive(loop, seconds: 0.05) { false }
    }

    @Test("A resolver may end inside the answer to its own query")
    func endsInside() throws {
        let server = try FakeNameServer(on: loop) { _, isSix in
            isSix ? .noAddress : .addresses([[10, 0, 0, 1]], seconds: 1)
        }
        var resolver: Resolver? = try resolver(server)
        var told = 0
        resolver?.resolve("a.example", port: 80) { _ in
            told += 1
            resolver = nil
        }
        resolver?.resolve("b.example", port: 80) { _ in told += 1 }
        drive(loop) { told > 0 }
        drive(loop, seconds: 0.05) { false }
        #expect(told >= 1)
    }

    @Test("A loop may end with queries under way")
    func loopEnds() throws {
        let other = try EventLoop()
        let resolver = try Resolver(on: other, hosts: "/nonexistent", resolvConf: nil, servers: ["127.0.0.1:9"])
        resolver.resolve("a.example", port: 80) { _ in Issue.record("nobody runs the loop") }
    }
}
