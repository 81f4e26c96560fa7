// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// How a request gets from the proxy to the scripted upstream, which speaks HTTP/1.1.
enum Passage: String, CaseIterable, CustomTestStringConvertible {
    case http1
    /// By HTTP/2 to a second proxy, so that one speaks it as a client and one as a server.
    case http2
    var testDescription: String { rawValue }
}

/// The real binary between a scripted upstream and a collector.
struct Stage {
    let upstream: FakeUpstream
    /// The second proxy, of a passage that needs one.
    let inner: ProxyProcess?
    let collector: FakeCollector
    let proxy: ProxyProcess

    /// The configuration starts as one listener `front` whose only route takes everything to the upstream, spans as v2 JSON.
    init(
        upstream address: SocketAddress = .ipv4(port: 0),
        by passage: Passage = .http1,
        script: @escaping FakeUpstream.Script = FakeUpstream.echo,
        configure: (inout ConfigurationText) -> Void = { _ in }
    ) throws {
        upstream = try FakeUpstream(on: address, script: script)
        collector = try FakeCollector()
        inner =
            passage == .http1
            ? nil : try ProxyProcess(configuration: ConfigurationText(upstream: upstream.address).yaml)
        var text = ConfigurationText(upstream: try inner?.address() ?? upstream.address)
        if passage == .http2 { text.upstreams["app"]?.append("protocol: http2") }
        text.exporters = ["zipkin: { endpoint: \"\(collector.url("/api/v2/spans"))\", encoding: v2-json }"]
        configure(&text)
        proxy = try ProxyProcess(configuration: text.yaml)
    }

    /// With an upstream that gives every body back.
    static func configured(_ configure: (inout ConfigurationText) -> Void) throws -> Stage {
        try Stage(configure: configure)
    }

    /// One exchange on a connection of its own, and what the upstream got.
    func forward(_ request: String) throws -> (response: Response, received: FakeUpstream.Received) {
        let before = upstream.requests.count
        let response = try proxy.exchange(request)
        do {
            return (response, try upstream.requests(before + 1)[before])
        } catch {
            Issue.record("the answer was \(response.status) \(response.body.text); the proxy said:\n\(proxy.log)")
            throw error
        }
    }
}

/// A configuration file in pieces, each of which a test may replace.
struct ConfigurationText {
    var service = "edge"
    var workers = 1
    var address = "127.0.0.1:0"
    /// Lines of the listener, such as `via: true`.
    var listener: [String] = []
    /// Further listeners by name, each on a free port of 127.0.0.1 with the same routes: their lines.
    var listeners: [String: [String]] = [:]
    /// Each one a flow mapping.
    var routes = ["{ match: { prefix: / }, upstream: app }"]
    /// By name: lines of the upstream.
    var upstreams: [String: [String]]
    var propagation: String?
    var mode: String?
    var sampling = "{ percent: 100 }"
    var exporters: [String] = []
    var shutdown = "{ drain_delay: 0s }"
    /// Further lines at the top level.
    var further: [String] = []

    let upstream: SocketAddress

    init(upstream: SocketAddress) {
        self.upstream = upstream
        upstreams = ["app": ["endpoints: [\"\(upstream)\"]"]]
    }

    var yaml: String {
        var lines = [
            "service: \(service)", "workers: \(workers)",
            "listeners:",
            "  - name: front", "    address: \"\(address)\"", "    direction: inbound",
        ]
        lines += Patience.ofListener(listener).map { "    " + $0 }
        lines += ["    routes:"] + routes.map { "      - " + $0 }
        for (name, options) in listeners.sorted(by: { $0.key < $1.key }) {
            lines += ["  - name: \(name)", "    address: \"127.0.0.1:0\""]
            lines += Patience.ofListener(options).map { "    " + $0 }
            lines += ["    routes:"] + routes.map { "      - " + $0 }
        }
        lines += ["upstreams:"]
        for (name, options) in upstreams.sorted(by: { $0.key < $1.key }) {
            lines += ["  \(name):"] + Patience.ofUpstream(options).map { "    " + $0 }
        }
        lines += ["tracing:", "  sampling: \(sampling)"]
        if let mode { lines += ["  mode: \(mode)"] }
        if let propagation { lines += ["  propagation: \(propagation)"] }
        if !exporters.isEmpty { lines += ["  exporters:"] + exporters.map { "    - " + $0 } }
        lines += ["admin: { address: \"127.0.0.1:0\" }", "log: { level: info, format: text }", "shutdown: \(shutdown)"]
        return (lines + further).joined(separator: "\n") + "\n"
    }
}

/// Timeouts that do not pass in a test because a thread of the proxy, of its peers or of the test stands still for some
/// seconds. What a test gives stays; `timeouts: {}` are the product's defaults.
private enum Patience {
    static func ofListener(_ lines: [String]) -> [String] {
        lengthened(lines, [("request_head", "60s"), ("tls_handshake", "60s")])
    }

    static func ofUpstream(_ lines: [String]) -> [String] {
        lengthened(lines, [("connect", "60s"), ("response", "60s"), ("pool_idle", "10m")])
    }

    private static func lengthened(_ lines: [String], _ long: [(name: String, time: String)]) -> [String] {
        let given = lines.first { $0.hasPrefix("timeouts:") } ?? "timeouts: { }"
        let missing = long.filter { !given.contains(" \($0.name):") }.map { "\($0.name): \($0.time), " }
        return lines.filter { $0 != given } + [given.replacing("{ ", with: "{ \(missing.joined())")]
    }
}

/// The text of a request with a Host, and with a Content-Length when it has a body.
func request(_ method: String = "GET", _ target: String = "/", _ fields: [String] = [], body: String? = nil) -> String {
    var lines = ["\(method) \(target) HTTP/1.1", "Host: app.test"] + fields
    if let body { lines.append("Content-Length: \(body.utf8.count)") }
    return (lines + ["", body ?? ""]).joined(separator: "\r\n")
}
