// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport
import Testing

/// The real binary with certificates that change under it.
@Suite("Certificates are read again")
struct CertificateReloadTests {
    /// A folder like a Kubernetes secret's: `tls.crt` and `tls.key` lead to `..data`, that to the folder of the day.
    private struct Mounted {
        let folder = Result { try TemporaryFolder() }
        var path: String { get throws { try folder.get().path } }
        var yaml: String {
            get throws { "{ certificate: \"\(try path)/tls.crt\", key: \"\(try path)/tls.key\" }" }
        }

        init(_ name: String) throws {
            try swap(to: name)
            for name in ["tls.crt", "tls.key"] { _ = symlink("..data/\(name)", "\(try path)/\(name)") }
        }

        /// - Parameter key: of another certificate.
        func swap(to name: String, key: String? = nil) throws {
            let next = "..\(UInt32.random(in: 0 ... .max))"
            let folder = "\(try path)/\(next)"
            _ = mkdir(folder, 0o700)
            let pair = (try TestCertificates.pair(name), try TestCertificates.pair(key ?? name))
            try FileManager.default.copyItem(atPath: pair.0.certificate, toPath: "\(folder)/tls.crt")
            try FileManager.default.copyItem(atPath: pair.1.key, toPath: "\(folder)/tls.key")
            _ = symlink(next, "\(try path)/..data_tmp")
            _ = rename("\(try path)/..data_tmp", "\(try path)/..data")
        }
    }

    private func start(_ tls: String, environment: [String: String] = [:]) throws -> ProxyProcess {
        var text = ConfigurationText(upstream: .ipv4(port: 9))
        text.routes = ["{ respond: { body: hello } }"]
        text.listener = ["tls: \(tls)"]
        return try ProxyProcess(configuration: text.yaml)
    }

    private static let reloads = "propagating_proxy_tls_reloads_total"

    /// The leaf a handshake is shown, as PEM.
    private func shown(by proxy: ProxyProcess) throws -> String {
        let openssl = try #require(Tool.find("openssl"))
        let (_, output) = try Tool.run(
            openssl, ["s_client", "-connect", "\(try proxy.address())", "-servername", "localhost"], within: 30)
        return Self.leaf(output)
    }

    private static func leaf(_ text: String) -> String {
        guard let start = text.firstRange(of: "-----BEGIN CERTIFICATE-----"),
            let end = text[start.upperBound...].firstRange(of: "-----END CERTIFICATE-----")
        else { return "none in: \(text)" }
        return String(text[start.lowerBound..<end.upperBound])
    }

    private func leaf(of name: String) throws -> String {
        Self.leaf(try String(contentsOfFile: TestCertificates.pair(name).certificate, encoding: .utf8))
    }

    /// Sooner than files are looked at untold, each minute. A loaded machine may take its time; scripts/verify/rotate.py
    /// measures.
    private func waits(until holds: () throws -> Bool) rethrows -> Bool {
        let end = Date().addingTimeInterval(30)
        while try !holds() {
            if Date() > end { return false }
            usleep(20_000)
        }
        return true
    }

    /// Puts another file in the place of one: who looks meanwhile finds one of the two, and never an empty one.
    private func replace(_ file: String, by text: String) throws {
        try text.write(toFile: file + ".next", atomically: false, encoding: .utf8)
        try #require(rename(file + ".next", file) == 0)
    }

    @Test("A renewed certificate is shown within a second")
    func renewed() throws {
        let mounted = try Mounted("server-ecdsa")
        let proxy = try start("{ certificates: [ \(try mounted.yaml) ] }")
        #expect(try shown(by: proxy) == leaf(of: "server-ecdsa"))
        for name in ["server-renewed", "server", "server-ecdsa"] {
            try mounted.swap(to: name)
            #expect(try waits { try shown(by: proxy) == leaf(of: name) }, "\(proxy.log)")
        }
        let metrics = try proxy.metrics()
        #expect(metrics[Self.reloads, ["result": "ok"]] == 3)
        #expect(metrics[Self.reloads, ["result": "failed"]] == 0)
    }

    @Test("A certificate with another one's key leaves the old pair in use, says so once, and is counted")
    func mismatch() throws {
        let mounted = try Mounted("server-ecdsa")
        let proxy = try start("{ certificates: [ \(try mounted.yaml) ] }")
        try mounted.swap(to: "server-renewed", key: "server")
        let metrics = try proxy.metrics { $0[Self.reloads, ["result": "failed"]] > 0 }
        #expect(metrics[Self.reloads, ["result": "failed"]] == 1)
        #expect(metrics["propagating_proxy_tls_reload_failing", ["kind": "listener", "name": "front"]] == 1)
        #expect(try shown(by: proxy) == leaf(of: "server-ecdsa"))
        proxy.program.waitForOutput { $0.contains("not reloaded") }
        let lines = proxy.log.split(separator: "\n").filter { $0.contains("not reloaded") }
        #expect(lines.count == 1 && lines[0].contains("tls.key") && lines[0].contains("does not belong"))
        try mounted.swap(to: "server-renewed")
        #expect(try waits { try shown(by: proxy) == leaf(of: "server-renewed") })
        #expect(try proxy.metrics()["propagating_proxy_tls_reload_failing"] == 0)
    }

    @Test("A session is resumed after a renewal, but not once other authorities judge callers")
    func resumption() throws {
        let mounted = try Mounted("server-ecdsa")
        let folder = try TemporaryFolder()
        let anchors = try String(contentsOfFile: TestCertificates.anchors, encoding: .utf8)
        let file = try folder.write(anchors, to: "ca")
        let proxy = try start(
            "{ certificates: [ \(try mounted.yaml) ], client_certificates: { mode: require, ca: \"\(file)\" } }")
        let caller = try TestCertificates.pair("client")
        let openssl = try #require(Tool.find("openssl"))
        /// The first word of a handshake's report: `New` or `Reused`.
        func handshake(_ more: String...) throws -> String {
            let (_, output) = try Tool.run(
                openssl,
                [
                    "s_client", "-connect", "\(try proxy.address())", "-servername", "localhost", "-tls1_2", "-cert",
                    caller.certificate, "-cert_chain", caller.certificate, "-key", caller.key,
                ] + more, within: 30)
            let line = output.split(separator: "\n").first { $0.contains(", TLSv1.2, Cipher is") }
            return String(line?.prefix { $0 != "," } ?? "none in: \(output)")
        }
        let session = "\(folder.path)/session"
        #expect(try handshake("-sess_out", session) == "New")
        #expect(try handshake("-sess_in", session) == "Reused")
        try mounted.swap(to: "server-renewed")
        #expect(try proxy.metrics { $0[Self.reloads] == 1 }[Self.reloads, ["result": "ok"]] == 1)
        #expect(try handshake("-sess_in", session) == "Reused")
        let other = try String(contentsOfFile: TestCertificates.path("unknown-ca.pem"), encoding: .utf8)
        try replace(file, by: anchors + other)
        #expect(try proxy.metrics { $0[Self.reloads] == 2 }[Self.reloads, ["result": "ok"]] == 2)
        #expect(try handshake("-sess_in", session) == "New")
    }

    @Test("An upstream sees the renewed certificate of ours, and other authorities judge its own")
    func upstream() throws {
        let app = try FakeUpstream()
        var inside = ConfigurationText(upstream: app.address)
        inside.listener = [
            "client_certificate_header: sanitize_set",
            "tls: { certificates: [ \(try TestCertificates.pair("server").yaml) ], "
                + "client_certificates: { ca: \"\(try TestCertificates.anchors)\" } }",
        ]
        let inner = try ProxyProcess(configuration: inside.yaml)
        let mounted = try Mounted("client")
        let folder = try TemporaryFolder()
        let anchors = try String(contentsOfFile: TestCertificates.anchors, encoding: .utf8)
        let file = try folder.write(anchors, to: "ca")
        var text = ConfigurationText(upstream: try inner.address())
        // Each request on a connection of its own.
        text.upstreams["app"]?.append("max_idle: 0")
        text.upstreams["app"]?.append(
            "tls: { server_name: localhost, ca: \"\(file)\", "
                + "certificate: \"\(try mounted.path)/tls.crt\", key: \"\(try mounted.path)/tls.key\" }")
        let outer = try ProxyProcess(configuration: text.yaml)
        /// What the inner proxy says of the certificate it was shown.
        func element() throws -> String {
            let before = app.requests.count
            let response = try outer.get("/")
            #expect(response.status == 200, "\(response.body.text)\n\(outer.log)\n\(inner.log)")
            return try app.requests(before + 1)[before].head["x-forwarded-client-cert"] ?? ""
        }
        let first = try element()
        #expect(first.contains("Hash="))
        try mounted.swap(to: "client-renewed")
        #expect(try waits { try element() != first })
        let other = try String(contentsOfFile: TestCertificates.path("unknown-ca.pem"), encoding: .utf8)
        try replace(file, by: other)
        #expect(try waits { try outer.get("/").status == 502 })
    }

    @Test("SIGHUP is harmless without TLS, and says so")
    func harmless() throws {
        var text = ConfigurationText(upstream: .ipv4(port: 9))
        text.routes = ["{ respond: { body: hello } }"]
        let proxy = try ProxyProcess(configuration: text.yaml)
        proxy.program.signal(SIGHUP)
        #expect(proxy.program.waitForOutput { $0.contains("reloaded nothing: there is no TLS") })
        #expect(try proxy.get("/").body.text == "hello")
        #expect(proxy.terminate() == 0)
    }

    @Test("SIGHUP reads certificates again")
    func signalled() throws {
        let mounted = try Mounted("server-ecdsa")
        let proxy = try start("{ certificates: [ \(try mounted.yaml) ] }")
        proxy.program.signal(SIGHUP)
        #expect(proxy.program.waitForOutput { $0.contains("reloaded nothing: no file has changed") })
        try mounted.swap(to: "server-renewed")
        proxy.program.signal(SIGHUP)
        #expect(proxy.program.waitForOutput { $0.contains("certificates reloaded listener=front expires=20") })
        #expect(try shown(by: proxy) == leaf(of: "server-renewed"))
    }

    @Test("Certificates that are wrong end the start with 1 and their place")
    func wrongAtStart() throws {
        for (name, key, message) in [
            ("server", "server-ecdsa", "does not belong"), ("expired", "expired", "has expired"),
            ("server", "absent", "No such file"),
        ] {
            let certificate = try TestCertificates.pair(name).certificate
            let key = try TestCertificates.pair(key).key
            var text = ConfigurationText(upstream: .ipv4(port: 9))
            text.listener = ["tls: { certificates: [ { certificate: \"\(certificate)\", key: \"\(key)\" } ] }"]
            for arguments in [[], ["--check"]] {
                let folder = try TemporaryFolder()
                let file = try folder.write(text.yaml, to: "proxy.yaml")
                let proxy = try ProxyProcess(["--config", file] + arguments)
                #expect(proxy.program.waitForExit() == 1)
                #expect(proxy.log.contains("\(file):7:") && proxy.log.contains(message), "\(proxy.log)")
            }
        }
    }

    @Test("A good file with certificates passes --check, and insecure_skip_verify warns there and at the start")
    func check() throws {
        var text = ConfigurationText(upstream: .ipv4(port: 9))
        text.upstreams["app"]?.append("tls: { insecure_skip_verify: true }")
        text.listener = ["tls: { certificates: [ \(try TestCertificates.pair("server").yaml) ] }"]
        let folder = try TemporaryFolder()
        let file = try folder.write(text.yaml, to: "proxy.yaml")
        let checked = try ProxyProcess(["--config", file, "--check"])
        #expect(checked.program.waitForExit() == 0)
        let started = try ProxyProcess(configuration: text.yaml)
        for log in [checked.log, started.log] {
            #expect(log.contains("warning: ") && log.contains("the upstream 'app' is not verified"), "\(log)")
        }
    }

    @Test(
        "Certificates that change five times a second fail no handshake, new or resumed, and no request",
        .enabled(if: Tool.python != nil, "there is no python3"))
    func rotation() throws {
        let script = "\(Tool.repository)/scripts/verify/rotate.py"
        let (status, output) = try Tool.run(
            try #require(Tool.python),
            [
                "-B", script, "--binary", ProxyProcess.binary, "--seconds", "4", "--singly", "2", "--within", "30",
                "--reloads", "0",
            ])
        #expect(status == 0, "\(output)")
    }

    @Test("However certificates are wrong, nothing of a key shows in logs, metrics or admin pages")
    func secrecy() throws {
        let folder = try TemporaryFolder()
        let pair = try TestCertificates.pair("server-ecdsa")
        let key = try String(contentsOfFile: pair.key, encoding: .utf8)
        _ = try folder.write(try String(contentsOfFile: pair.certificate, encoding: .utf8), to: "crt")
        _ = try folder.write(key, to: "key")
        var text = ConfigurationText(upstream: .ipv4(port: 9))
        let own = "certificate: \"\(folder.path)/crt\", key: \"\(folder.path)/key\""
        text.listener = ["tls: { certificates: [ { \(own) } ] }"]
        text.upstreams["app"]?.append("tls: { \(own) }")
        let file = try folder.write(text.yaml, to: "proxy.yaml")
        let proxy = try ProxyProcess(["--config", file, "--log-level", "debug"], folder: folder)
        try proxy.waitUntilReady()
        let body = key.split(separator: "\n").dropFirst().dropLast()
        let wrong = [
            ("key", key.replacing("A", with: "?")), ("key", String(key.prefix(90))), ("crt", key),
            ("key", body.joined(separator: "\n")),
        ]
        var failed = 0
        for (name, content) in wrong {
            try replace("\(folder.path)/\(name)", by: content)
            failed += 2
            let metrics = try proxy.metrics { $0[Self.reloads, ["result": "failed"]] >= failed }
            #expect(metrics[Self.reloads, ["result": "failed"]] >= failed)
        }
        #expect(proxy.program.waitForOutput { $0.components(separatedBy: "not reloaded").count > failed })
        var outputs = [proxy.log, proxy.program.visibleArguments]
        for page in ["/metrics", "/ready", "/live", "/"] {
            outputs.append(try proxy.get(page, listener: "admin").body.text)
        }
        for output in outputs {
            for line in body { #expect(!output.contains(line.prefix(12))) }
        }
    }
}
