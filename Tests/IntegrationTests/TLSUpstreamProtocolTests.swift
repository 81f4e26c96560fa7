// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("protocol: auto, where ALPN decides what an upstream is spoken to in")
struct TLSUpstreamProtocolTests {
    /// A second proxy takes both versions in plain text, and TLS stands before it.
    private struct Chain {
        let upstream: FakeUpstream
        let inner: ProxyProcess
        let proxy: ProxyProcess
        let port: UInt16

        init(alpn: String, _ options: [String] = []) throws {
            upstream = try FakeUpstream()
            inner = try ProxyProcess(configuration: ConfigurationText(upstream: upstream.address).yaml)
            port = try SocketAddress.reserved().port
            front = try TLSFront(for: inner.address(), ["--alpn", alpn, "--port", "\(port)"])
            var text = ConfigurationText(upstream: front.address)
            text.upstreams["app", default: []] +=
                ["protocol: auto", SecureStage.yaml(try SecureStage.lines())] + options
            proxy = try ProxyProcess(configuration: text.yaml)
        }

        private(set) var front: TLSFront

        /// Another front takes the place of the first, on the same port.
        mutating func replaceFront(alpn: String) throws {
            front.stop()
            front = try TLSFront(for: inner.address(), ["--alpn", alpn, "--port", "\(port)"])
        }

        /// The statuses of so many requests at once.
        func exchangeTogether(_ count: Int) throws -> [Int] {
            let peers = try (0..<count).map { _ in try proxy.connect() }
            for peer in peers { try peer.send(request()) }
            return try peers.map { try $0.receiveResponse().status }
        }
    }

    @Test("An upstream that speaks HTTP/2 gets the streams of one connection, also when all come at once")
    func http2() throws {
        let chain = try Chain(alpn: "h2,http/1.1")
        #expect(try chain.exchangeTogether(40) == Array(repeating: 200, count: 40))
        #expect(try chain.proxy.exchange(request()).status == 200)
        #expect(chain.front.sessions().map(\.alpn) == ["h2"])
        #expect(try chain.inner.metrics()["propagating_proxy_downstream_http2_streams_total"] == 41)
    }

    @Test("One that speaks HTTP/1.1 gets connections of its own for each, also when all come at once")
    func http1() throws {
        let chain = try Chain(alpn: "http/1.1")
        #expect(try chain.exchangeTogether(40) == Array(repeating: 200, count: 40))
        #expect(try chain.proxy.exchange(request()).status == 200)
        #expect(Set(chain.front.sessions().map(\.alpn)) == ["http/1.1"])
        #expect(try chain.inner.metrics()["propagating_proxy_downstream_http2_streams_total"] == 0)
    }

    @Test("One that has no ALPN at all is spoken to in HTTP/1.1")
    func noALPN() throws {
        let chain = try Chain(alpn: "")
        #expect(try chain.exchangeTogether(3) == [200, 200, 200])
        #expect(Set(chain.front.sessions().map(\.alpn)) == [nil])
    }

    @Test("One that changes its mind, as in a rolling upgrade, is followed, there and back")
    func rollingUpgrade() throws {
        var chain = try Chain(alpn: "http/1.1")
        #expect(try chain.exchangeTogether(5) == Array(repeating: 200, count: 5))
        for alpn in ["h2,http/1.1", "http/1.1", "h2"] {
            try chain.replaceFront(alpn: alpn)
            #expect(try chain.exchangeTogether(10) == Array(repeating: 200, count: 10), "\(alpn)")
            let agreed = String(alpn.split(separator: ",")[0])
            #expect(chain.front.sessions().last?.alpn == agreed)
        }
    }

    @Test("Bounds on connections and waiting requests hold, whatever is agreed on", arguments: ["h2", "http/1.1"])
    func bounds(alpn: String) throws {
        let chain = try Chain(alpn: alpn, ["max_connections: 2", "max_pending: 100"])
        for _ in 0..<3 { #expect(try chain.exchangeTogether(20) == Array(repeating: 200, count: 20)) }
        let open = try chain.proxy.metrics { $0["propagating_proxy_upstream_connections"] > 0 }
        #expect((1...2).contains(open["propagating_proxy_upstream_connections"]))
    }
}
