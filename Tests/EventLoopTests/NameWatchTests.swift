// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import EventLoop

@Suite("Addresses of an endpoint stay fresh")
struct NameWatchTests {
    let loop: EventLoop
    init() throws { loop = try EventLoop() }

    @Test("Names are asked for again at their time to live, but no sooner than after 5 s nor later than after 1 h")
    func floor() {
        #expect(NameWatch.refreshMilliseconds(timeToLiveSeconds: 0) == 5000)
        #expect(NameWatch.refreshMilliseconds(timeToLiveSeconds: 4) == 5000)
        #expect(NameWatch.refreshMilliseconds(timeToLiveSeconds: 30) == 30_000)
        #expect(NameWatch.refreshMilliseconds(timeToLiveSeconds: 2_000_000_000) == 3_600_000)
    }

    @Test("Retries back off to 30 s and are spread")
    func retries() {
        for failures in 0..<100 {
            let full = failures < 5 ? 1000 << failures : 30_000
            #expect((full / 2...full).contains(NameWatch.retryMilliseconds(after: failures)))
        }
        #expect(Set((0..<50).map { _ in NameWatch.retryMilliseconds(after: 9) }).count > 10)
    }

    @Test("A change is told once; a new order is none; the last good addresses stay on failure")
    func lastGood() throws {
        var reply = FakeNameServer.Reply.addresses([[10, 0, 0, 1], [10, 0, 0, 2]], seconds: 1)
        let server = try FakeNameServer(on: loop) { _, isSix in isSix ? .noAddress : reply }
        let resolver = try Resolver(on: loop, hosts: "/nonexistent", resolvConf: nil, servers: [server.address])
        var changes: [[SocketAddress]] = []
        var failures: [String] = []
        let watch = try NameWatch(
            "web.example", port: 80, with: resolver, on: loop, changed: { changes.append($0) },
            failed: { failures.append($0) })
        watch.start()
        drive(loop) { changes.count == 1 }
        #expect(watch.addresses.map(\.description) == ["10.0.0.1:80", "10.0.0.2:80"])

        reply = .addresses([[10, 0, 0, 2], [10, 0, 0, 1]], seconds: 1)
        watch.start()
        drive(loop) { server.asked.count >= 4 }
        drive(loop, seconds: 0.05) { false }
        #expect(changes.count == 1)

        reply = .serverFailure
        watch.start()
        drive(loop) { !failures.isEmpty }
        #expect(failures == ["name server timed out or failed"])
        #expect(watch.failure == "name server timed out or failed")
        #expect(watch.addresses.count == 2)

        reply = .addresses([[10, 0, 0, 3]], seconds: 1)
        drive(loop) { changes.count == 2 }  // by the retry, within 1 s
        #expect(watch.addresses.map(\.description) == ["10.0.0.3:80"])
        #expect(watch.failure == nil)
    }

    @Test("A literal is told at once and never asked for again")
    func literal() throws {
        let resolver = try Resolver(on: loop, hosts: "/nonexistent", resolvConf: nil)
        var changes = 0
        let watch = try NameWatch("127.0.0.1", port: 1, with: resolver, on: loop, changed: { _ in changes += 1 })
        watch.start()
        #expect(changes == 1)
    }

    @Test("A watch may end, or end itself, while it asks")
    func ends() throws {
        let server = try FakeNameServer(on: loop) { _, isSix in
            isSix ? .noAddress : .addresses([[10, 0, 0, 1]], seconds: 1)
        }
        let resolver = try Resolver(on: loop, hosts: "/nonexistent", resolvConf: nil, servers: [server.address])
        var watch: NameWatch? = try NameWatch(
            "a.example", port: 1, with: resolver, on: loop, changed: { _ in Issue.record("it has ended") })
        watch?.start()
        watch = nil
        var ended = false
        watch = try NameWatch(
            "a.example", port: 1, with: resolver, on: loop,
            changed: { _ in
                watch = nil
                ended = true
            })
        watch?.start()
        drive(loop) { ended }
        drive(loop, seconds: 0.05) { false }
        #expect(ended)
    }
}
