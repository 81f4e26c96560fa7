// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// What stands between the proxy and its upstream.
enum UpstreamSecurity: String, CaseIterable, CustomTestStringConvertible {
    case plain, tls12, tls13
    /// With a certificate of the caller's.
    case mutual

    var testDescription: String { rawValue }
}

/// The real binary in front of a scripted upstream that is reached by TLS, and a collector.
struct SecureStage {
    let upstream: FakeUpstream
    /// The second proxy, of a passage that needs one.
    let inner: ProxyProcess?
    /// `nil` for a plain upstream.
    let front: TLSFront?
    let collector: FakeCollector
    let proxy: ProxyProcess

    /// - Parameters:
    ///   - options: of the front (Cases/tls_front.py), beside what the rest asks for.
    ///   - certificate: the front's, by its name in `scripts/make-test-certs`.
    ///   - tls: in place of the lines of the upstream's `tls`.
    ///   - host: the endpoint's.
    init(
        _ security: UpstreamSecurity = .tls13, by passage: Passage = .http1, certificate: String = "server-ecdsa",
        options: [String] = [], tls: [String]? = nil, host: String = "127.0.0.1",
        script: @escaping FakeUpstream.Script = FakeUpstream.echo,
        configure: (inout ConfigurationText) -> Void = { _ in }
    ) throws {
        upstream = try FakeUpstream(script: script)
        collector = try FakeCollector()
        inner =
            passage == .http1
            ? nil : try ProxyProcess(configuration: ConfigurationText(upstream: upstream.address).yaml)
        let backend = try inner?.address() ?? upstream.address
        front =
            security == .plain
            ? nil
            : try TLSFront(
                for: backend, certificate: certificate,
                Self.options(security, passage) + options)
        var text = ConfigurationText(upstream: front?.address ?? backend)
        text.upstreams["app"] = ["endpoints: [\"\(host):\((front?.address ?? backend).port)\"]"]
        if passage == .http2 { text.upstreams["app"]?.append("protocol: http2") }
        if security != .plain { text.upstreams["app"]?.append(try Self.yaml(tls ?? Self.lines(security))) }
        text.exporters = ["zipkin: { endpoint: \"\(collector.url("/api/v2/spans"))\", encoding: v2-json }"]
        configure(&text)
        proxy = try ProxyProcess(configuration: text.yaml)
    }

    private static func options(_ security: UpstreamSecurity, _ passage: Passage) throws -> [String] {
        var options = ["--alpn", passage == .http2 ? "h2" : "http/1.1"]
        if security == .tls12 { options += ["--max", "1.2"] }
        if security == .mutual { options += ["--client-ca", try TestCertificates.anchors] }
        return options
    }

    /// Lines of an upstream's `tls` that trust the tests' authority.
    static func lines(_ security: UpstreamSecurity = .tls13) throws -> [String] {
        let own = try TestCertificates.pair("client")
        let certificate = ["certificate: \"\(own.certificate)\"", "key: \"\(own.key)\""]
        return ["ca: \"\(try TestCertificates.anchors)\""] + (security == .mutual ? certificate : [])
    }

    static func yaml(_ lines: [String]) -> String { "tls: { \(lines.joined(separator: ", ")) }" }

    /// Handshakes the proxy counted.
    func handshakes(_ result: String) throws -> Int {
        try proxy.metrics()["propagating_proxy_upstream_tls_handshakes_total", ["upstream": "app", "result": result]]
    }
}
