// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("TLS towards callers", .enabled(if: TLSCaller.isThere, TLSCaller.whyNot))
struct TLSDownstreamTests {
    /// One way of calling.
    struct Way: CustomTestStringConvertible {
        let http: String
        let version: String
        let isMutual: Bool

        var testDescription: String { "HTTP/\(http) over TLS \(version)\(isMutual ? ", mutual" : "")" }

        static let all = ["1.1", "2"].flatMap { http in
            ["1.2", "1.3"].flatMap { version in
                [false, true].map { Way(http: http, version: version, isMutual: $0) }
            }
        }

        var arguments: [String] {
            get throws {
                let caller = try TestCertificates.pair("client")
                let own = isMutual ? ["--cert", caller.certificate, "--key", caller.key] : []
                return [http == "2" ? "--http2" : "--http1.1", "--tlsv\(version)", "--tls-max", version] + own
            }
        }
    }

    @Test("Bodies of every size arrive byte for byte, in one trace whose SERVER span tells of TLS", arguments: Way.all)
    func matrix(_ way: Way) throws {
        let stage = try Stage.secured(
            ["server-ecdsa", "server"], way.isMutual ? try ConfigurationText.callers() : "min_version: 1.2")
        let folder = try TemporaryFolder()
        let sizes = [0, 1, 16_383, 16_385, 65_536, 1_000_000, 4_194_305]
        for size in sizes {
            let sent = Pattern.bytes(size)
            try Data(sent).write(to: URL(fileURLWithPath: "\(folder.path)/sent"))
            let fetch = try TLSCaller.fetch(
                "/echo", from: stage.proxy,
                way.arguments + ["--data-binary", "@\(folder.path)/sent", "-o", "\(folder.path)/got"])
            #expect(fetch.status == 200 && fetch.version == way.http && fetch.exitStatus == 0, "\(fetch.output)")
            let got = FileManager.default.contents(atPath: "\(folder.path)/got") ?? Data()
            #expect(Array(got) == sent, "\(size) bytes")
        }
        let spans = try stage.collector.spans(2 * sizes.count)
        let received = try #require(stage.upstream.requests.last)
        #expect(received["x-forwarded-proto"] == "https")
        #expect(received["x-forwarded-client-cert"] == nil)
        let client = try #require(spans.first { $0.id == received["x-b3-spanid"] })
        let server = try #require(spans.first { $0.id == client.parentID })
        #expect(server.kind == .server && server.parentID == nil && server.traceID == client.traceID)
        #expect(server.tags["tls.protocol.version"] == way.version && server.tags["tls.protocol.name"] == "tls")
        #expect(server.tags["tls.client.server_name"] == "localhost")
        #expect(server.tags["tls.client.subject"] == (way.isMutual ? "CN=client,O=Example" : nil))
        #expect(client.tags["tls.protocol.version"] == nil)
        let metrics = try stage.proxy.metrics()
        let name = "propagating_proxy_tls_handshakes_total"
        #expect(metrics[name, ["listener": "front", "result": "ok"]] == sizes.count)
        #expect(metrics[name] == sizes.count)
    }

    @Test("Spans say https and how the connection was secured, by OpenTelemetry's names", arguments: Encoding.all)
    func spans(_ encoding: Encoding) throws {
        let collector = try FakeCollector()
        let stage = try Stage.secured { $0.exporters = [encoding.line(collector)] }
        let told = try TLSCaller.speak(["--times", "2"], to: stage.proxy)
        #expect(told.map(\.resumed) == [false, true])
        let servers = try collector.spans(4).filter { $0.kind == .server }
        #expect(collector.unreadable.isEmpty)
        #expect(servers.map { $0.tags["tls.protocol.version"] } == ["1.3", "1.3"])
        #expect(servers.map { $0.tags["tls.resumed"] } == ["false", "true"])
        if encoding.exporter == "otlp" { #expect(servers.allSatisfy { $0.tags["url.scheme"] == "https" }) }
    }

    // MARK: Names

    @Test("The name a caller asks for chooses the certificate; an unknown name or none gets the first")
    func names() throws {
        let stage = try Stage.secured(["server-ecdsa", "other"])
        func shown(_ name: String) throws -> String {
            try TLSCaller.client(["-servername", name], to: stage.proxy)
        }
        #expect(try shown("a.example.test").contains("CN = server-ecdsa"))
        #expect(try shown("OTHER.test").contains("CN = other"))
        #expect(try shown("nobody.test").contains("CN = server-ecdsa"))
        #expect(try TLSCaller.client(["-noservername"], to: stage.proxy).contains("CN = server-ecdsa"))
    }

    @Test("Where unknown names are refused, the handshake fails with an alert that says so")
    func unknownName() throws {
        let stage = try Stage.secured(["server-ecdsa", "other"], "unknown_server_name: reject")
        let output = try TLSCaller.client(["-servername", "nobody.test"], to: stage.proxy)
        #expect(output.contains("unrecognized name") && !output.contains("CN = server-ecdsa"))
        #expect(try TLSCaller.fetch(from: stage.proxy, name: "other.test").status == 200)
        try expectHandshakes(stage.proxy, ["unknown_server_name": 1, "ok": 1])
    }

    @Test("One name may have a certificate of each kind of key; a caller gets the one it understands")
    func kindsOfKey() throws {
        let stage = try Stage.secured(["server", "server-ecdsa"])
        for (cipher, name) in [
            ("ECDHE-RSA-AES128-GCM-SHA256", "server"), ("ECDHE-ECDSA-AES128-GCM-SHA256", "server-ecdsa"),
        ] {
            let output = try TLSCaller.client(["-tls1_2", "-cipher", cipher], to: stage.proxy)
            #expect(output.contains("CN = \(name)\n"), "\(output)")
        }
    }

    @Test("A caller that asks gets the OCSP response of the certificate it is shown (RFC 6066 §8)")
    func stapling() throws {
        let certificates = try ["server", "server-ecdsa"].map { name in
            let pair = try TestCertificates.pair(name)
            let response = try TestCertificates.path("\(name).ocsp")
            return "{ certificate: \"\(pair.certificate)\", key: \"\(pair.key)\", ocsp_response: \"\(response)\" }"
        }
        let line = "tls: { certificates: [\(certificates.joined(separator: ", "))] }"
        let stage = try Stage(script: FakeUpstream.echo) { $0.listener.append(line) }
        for cipher in ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"] {
            let asked = ["-tls1_2", "-cipher", cipher]
            let output = try TLSCaller.client(asked + ["-status"], to: stage.proxy)
            #expect(output.contains("OCSP Response Status: successful"), "\(output)")
            #expect(output.contains("Cert Status: good"))
            #expect(try !TLSCaller.client(asked, to: stage.proxy).contains("OCSP Response Status: successful"))
        }
    }

    @Test("A host with a certificate of its own is not served on another's connection", arguments: ["1.1", "2"])
    func misdirected(http: String) throws {
        let stage = try Stage.secured(["server-ecdsa", "other"])
        let version = http == "2" ? "--http2" : "--http1.1"
        func status(_ host: String) throws -> Int {
            try TLSCaller.fetch(
                from: stage.proxy, name: "a.example.test", [version, "-H", "Host: \(host)"]
            ).status
        }
        #expect(try status("other.test") == 421)
        #expect(try status("other.test:8443") == 421)
        #expect(try status("a.example.test") == 200)
        #expect(try status("B.example.test:8443") == 200)
        #expect(try stage.proxy.metrics()["propagating_proxy_local_replies_total", ["reason": "misdirected"]] == 2)
        #expect(stage.upstream.requests.allSatisfy { $0["host"]?.contains("other") == false })
    }

    // MARK: What is spoken inside

    @Test("Without ALPN the first bytes decide, as on a plain listener; with it only what was agreed on is spoken")
    func protocols() throws {
        let stage = try Stage.secured()
        let preface = #"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"#
        let without = try TLSCaller.speak(["--request", preface, "--least", "9"], to: stage.proxy)[0]
        #expect(without.alpn == nil && without.received?.utf8.dropFirst(3).first == 4)  // SETTINGS
        let agreed = try TLSCaller.speak(["--alpn", "http/1.1", "--request", preface], to: stage.proxy)[0]
        #expect(agreed.alpn == "http/1.1" && agreed.received?.hasPrefix("HTTP/1.1 505 ") == true)
        let text = try TLSCaller.speak(["--alpn", "h2"], to: stage.proxy)[0]
        #expect(text.alpn == "h2" && text.received?.hasPrefix("HTTP/1.1") == false && text.end != "open")
    }

    @Test("What a listener does not speak it does not offer", arguments: ["http1", "http2"])
    func onlyProtocol(spoken: String) throws {
        let stage = try Stage.secured { $0.listener.append("protocol: \(spoken)") }
        let both = try TLSCaller.speak(["--alpn", "h2,http/1.1", "--wait", "0.5"], to: stage.proxy)[0]
        #expect(both.alpn == (spoken == "http1" ? "http/1.1" : "h2"))
        let other = try TLSCaller.speak(["--alpn", spoken == "http1" ? "h2" : "http/1.1"], to: stage.proxy)[0]
        #expect(other.failed != nil)
        try expectHandshakes(stage.proxy, ["ok": 1, "no_alpn": 1])
    }

    @Test("A target in absolute form may say https")
    func absoluteForm() throws {
        let stage = try Stage.secured()
        let target = #"GET https://localhost/a?b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"#
        let told = try TLSCaller.speak(["--request", target], to: stage.proxy)[0]
        #expect(told.received?.hasPrefix("HTTP/1.1 200 ") == true)
        #expect(stage.upstream.requests.first?.head.target == "/a?b")
    }

    @Test(
        "nghttp's load generator finds every request answered, over HTTP/2 and HTTP/1.1", arguments: ["h2", "http/1.1"])
    func load(spoken: String) throws {
        guard let h2load = Tool.find("h2load") else { return }
        let stage = try Stage.secured { $0.workers = 2 }
        let address = try stage.proxy.address()
        let (status, output) = try Tool.run(
            h2load, ["-n", "2000", "-c", "20", "-m", "10", "--npn-list", spoken, "https://\(address)/"])
        #expect(status == 0 && output.contains("2000 succeeded, 0 failed, 0 errored"), "\(output)")
        #expect(output.contains("Application protocol: \(spoken)"))
    }

    // MARK: Sessions

    @Test("A session is resumed at any worker, and shown again whose certificate it was", arguments: ["1.2", "1.3"])
    func resumption(version: String) throws {
        let callers = try ConfigurationText.callers()
        let stage = try Stage.secured(["server-spiffe"], callers) {
            $0.workers = 2
            $0.listener.append("client_certificate_header: sanitize_set")
        }
        let caller = try TestCertificates.pair("client")
        let told = try TLSCaller.speak(
            ["--version", version, "--times", "6", "--certificate", caller.certificate, "--key", caller.key],
            to: stage.proxy)
        #expect(told.map(\.resumed) == [false, true, true, true, true, true])
        let fields = stage.upstream.requests.map { $0["x-forwarded-client-cert"] }
        #expect(fields.count == 6 && Set(fields).count == 1)
        #expect(fields[0]?.contains("URI=spiffe://example.test/ns/default/sa/client") == true)
        try expectHandshakes(stage.proxy, ["ok": 1, "resumed": 5])
    }

    @Test("Without tickets no session is resumed")
    func noTickets() throws {
        let stage = try Stage.secured(["server-ecdsa"], "session_tickets: false")
        let told = try TLSCaller.speak(["--times", "2"], to: stage.proxy)
        #expect(told.map(\.resumed) == [false, false])
    }

    // MARK: X-Forwarded-Client-Cert

    /// What becomes of `Hash=1` that a caller sends.
    struct Field: CustomTestStringConvertible {
        let mode: String
        /// From a caller that has shown a certificate; one that has not; a plain listener.
        let mutual: String?
        let anonymous: String?
        let plain: String?

        var testDescription: String { mode }

        static let ours = "ours"
        static let all = [
            Field(mode: "sanitize", mutual: nil, anonymous: nil, plain: nil),
            Field(mode: "forward_only", mutual: "Hash=1", anonymous: nil, plain: nil),
            Field(mode: "append_forward", mutual: "Hash=1,ours", anonymous: nil, plain: nil),
            Field(mode: "sanitize_set", mutual: "ours", anonymous: nil, plain: nil),
            Field(mode: "always_forward_only", mutual: "Hash=1", anonymous: "Hash=1", plain: "Hash=1"),
        ]
    }

    @Test("X-Forwarded-Client-Cert is what the listener's mode says, over HTTP/1.1 and HTTP/2", arguments: Field.all)
    func certificateField(_ field: Field) throws {
        let mode = "client_certificate_header: \(field.mode)"
        let stage = try Stage.secured(["server-spiffe"], ConfigurationText.callers(", mode: optional")) {
            $0.listener.append(mode)
            $0.listeners["plain"] = [mode]
        }
        let sent = "X-Forwarded-Client-Cert: Hash=1"
        let caller = try TestCertificates.pair("client")
        let element =
            "By=spiffe://example.test/ns/default/sa/server;Hash=\(try fingerprint(caller));Subject=\"CN=client,O=Example\";"
            + "URI=spiffe://example.test/ns/default/sa/client;DNS=client.example.test"
        for version in ["--http1.1", "--http2"] {
            let before = stage.upstream.requests.count
            for own in [["--cert", caller.certificate, "--key", caller.key], []] {
                #expect(try TLSCaller.fetch(from: stage.proxy, [version, "-H", sent] + own).status == 200)
            }
            let fields = stage.upstream.requests.dropFirst(before).map { $0["x-forwarded-client-cert"] }
            #expect(fields == [field.mutual?.replacing(Field.ours, with: element), field.anonymous])
        }
        let response = try stage.proxy.exchange(
            request("GET", "/plain", [sent, "Connection: close"]), listener: "plain")
        #expect(response.status == 200)
        #expect(stage.upstream.requests.last?["x-forwarded-client-cert"] == field.plain)
    }

    private func fingerprint(_ pair: TestCertificates.Pair) throws -> String {
        let (_, output) = try Tool.run(
            try #require(TLSCaller.openssl), ["x509", "-noout", "-fingerprint", "-sha256", "-in", pair.certificate])
        return try #require(output.split(separator: "=").last).replacing(":", with: "").lowercased()
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

/// The listener's handshakes, by result, once they are all there.
func expectHandshakes(
    _ proxy: ProxyProcess, _ expected: [String: Int], location: SourceLocation = #_sourceLocation
) throws {
    let name = "propagating_proxy_tls_handshakes_total"
    let total = expected.values.reduce(0, +)
    let metrics = try proxy.metrics { $0[name] >= total }
    let found = metrics.samples.filter { $0.name == name && $0.value > 0 }
    let results = Dictionary(found.map { ($0.labels["result"] ?? "", Int($0.value)) }) { $0 + $1 }
    #expect(results == expected, sourceLocation: location)
}
