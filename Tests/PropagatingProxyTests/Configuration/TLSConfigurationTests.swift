// SPDX-License-Identifier: Apache-2.0
import Foundation
import SpanEmitter
import TestSupport
import Testing

@testable import PropagatingProxy

@Suite("Configuration of TLS")
struct TLSConfigurationTests {
    private typealias Loaded = ConfigurationLoader.Loaded

    /// `@name` in a file stands for the path of that test certificate.
    private func load(
        listener: String = "", upstream: String = "", exporter: String = "zipkin: { endpoint: \"http://c:9411\" }",
        _ environment: [String: String] = [:]
    ) throws -> Result<Loaded, ConfigurationLoader.Failure> {
        let folder = try TestCertificates.path("")
        let text = """
            listeners: [ { address: "127.0.0.1:5000", routes: [ { upstream: a } ], \(listener) } ]
            upstreams: { a: { endpoints: ["b.example:443"], \(upstream) } }
            tracing: { exporters: [ { \(exporter) } ] }
            """.replacing("@", with: folder)
        do throws(ConfigurationLoader.Failure) {
            return .success(
                try ConfigurationLoader.load(text: Array(text.utf8), file: "p.yaml", environment: environment))
        } catch {
            return .failure(error)
        }
    }

    private func mistakes(
        listener: String = "", upstream: String = "", exporter: String = "zipkin: { endpoint: \"http://c:9411\" }"
    ) throws -> [String] {
        switch try load(listener: listener, upstream: upstream, exporter: exporter) {
        case .success: []
        case .failure(let failure): failure.lines
        }
    }

    private static let server = "{ certificate: \"@server.pem\", key: \"@server.key\" }"
    private static func tls(_ more: String, _ certificates: String...) -> String {
        let list = certificates.isEmpty ? [server] : certificates
        return "tls: { certificates: [ \(list.joined(separator: ", ")) ], \(more) }"
    }
    private static func pair(_ name: String, key: String? = nil) -> String {
        "{ certificate: \"@\(name).pem\", key: \"@\(key ?? name).key\" }"
    }

    struct Refusal: CustomTestStringConvertible {
        var text: String
        var message: String
        var testDescription: String { message }
    }

    @Test("Files of a listener mean what they say")
    func listener() throws {
        let loaded = try load(
            listener: Self.tls(
                """
                min_version: "1.3", session_tickets: false, unknown_server_name: reject,
                client_certificates: { mode: optional, ca: "@root.pem", crl: "@crl.pem", allowed_names: [a.test, "spiffe://x/*"] }
                """,
                "{ certificate: \"@server.pem\", key: \"@server.key\", ocsp_response: \"@server.ocsp\" }",
                Self.pair("server-ecdsa"), Self.pair("other"))
                + ", client_certificate_header: sanitize_set, timeouts: { tls_handshake: 2s }"
        ).get()
        let listener = loaded.configuration.listeners[0]
        let tls = try #require(listener.tls)
        #expect(tls.certificates.map(\.certificate.last) == ["m", "m", "m"])
        #expect(tls.certificates[0].ocspResponse == (try TestCertificates.path("server.ocsp")))
        #expect(tls.minimumVersion == .tls13 && !tls.givesTickets && tls.refusesUnknownNames)
        #expect(tls.callers?.isRequired == false && tls.callers?.allowedNames == ["a.test", "spiffe://x/*"])
        #expect(listener.callerCertificateField == .sanitizeSet)
        #expect(listener.timeouts.tlsHandshakeMilliseconds == 2000)
        #expect(loaded.warnings == [])
    }

    @Test("Without its key a listener and an upstream are plain text; with it the defaults are the safe ones")
    func defaults() throws {
        let plain = try load().get().configuration
        #expect(plain.listeners[0].tls == nil && plain.upstreams[0].tls == nil)
        #expect(plain.tracing.exporters[0].tls == nil)
        #expect(plain.listeners[0].callerCertificateField == .sanitize)
        let secure = try load(
            listener: Self.tls(""), upstream: "protocol: auto, tls: {}, host: rewrite",
            exporter: "otlp: { endpoint: \"https://c\" }"
        ).get().configuration
        let upstream = secure.upstreams[0]
        #expect(upstream.tls?.verifies == true && upstream.tls?.anchors.anchors == nil)
        #expect(upstream.tls?.minimumVersion == .tls12 && upstream.tls?.resumesSessions == true)
        #expect(upstream.authority == Array("b.example".utf8))
        #expect(upstream.settings.httpVersion == .auto)
        #expect(secure.listeners[0].tls?.callers == nil && secure.listeners[0].tls?.givesTickets == true)
        #expect(secure.tracing.exporters[0].tls == ExporterTLS())
        #expect(secure.tracing.exporters[0].endpoint.port == 443)
    }

    @Test(
        "A listener's wrong certificates are mistakes, each with its place and what was expected",
        arguments: [
            Refusal(text: "tls: {}", message: "'certificates' is missing"),
            Refusal(text: "tls: { certificates: [] }", message: "'certificates' is empty"),
            Refusal(text: tls("", "{ key: \"@server.key\" }"), message: "'certificate' is missing"),
            Refusal(text: tls("", "{ certificate: \"@server.pem\" }"), message: "'key' is missing"),
            Refusal(text: tls("", pair("nobody")), message: "No such file or directory"),
            Refusal(text: tls("", pair("", key: "server")), message: "No such file or directory"),
            Refusal(text: tls("", "{ certificate: \"@\", key: \"@server.key\" }"), message: "s a directory"),
            Refusal(text: tls("", "{ certificate: /dev/zero, key: \"@server.key\" }"), message: "larger than 1048576"),
            Refusal(text: tls("", pair("server", key: "server-ecdsa")), message: "does not belong to the certificate"),
            Refusal(
                text: tls("", "{ certificate: \"@server.key\", key: \"@server.key\" }"), message: "holds no certificate"
            ),
            Refusal(
                text: tls("", "{ certificate: \"@server.pem\", key: \"@server.pem\" }"), message: "holds no private key"
            ),
            Refusal(
                text: tls("", "{ certificate: \"@intermediate.pem\", key: \"@server.key\" }"),
                message: "does not belong to the certificate"),
            Refusal(text: tls("", pair("expired")), message: "the certificate has expired on 20"),
            Refusal(text: tls("", pair("not-yet-valid")), message: "the certificate is not valid before 20"),
            Refusal(
                text: tls("", "{ certificate: \"@server.pem\", key: \"@server.key\", ocsp_response: \"@crl.pem\" }"),
                message: "no good OCSP response"),
            Refusal(text: tls("", pair("server-ecdsa"), pair("server-renewed")), message: "a second certificate for"),
            Refusal(text: tls("min_version: \"1.1\""), message: "expected one of 1.2, 1.3"),
            Refusal(text: tls("unknown_server_name: drop"), message: "expected one of accept, reject"),
            Refusal(text: tls("session_tickets: maybe"), message: "expected one of true, false"),
            Refusal(text: tls("client_certificates: {}"), message: "'ca' is missing"),
            Refusal(text: tls("client_certificates: { ca: \"@client.key\" }"), message: "no certificate"),
            Refusal(
                text: tls("client_certificates: { ca: \"@root.pem\", crl: \"@root.pem\" }"),
                message: "no revocation list"),
            Refusal(text: tls("client_certificates: { ca: \"@root.pem\", mode: ask }"), message: "require, optional"),
            Refusal(
                text: tls("client_certificates: { ca: \"@root.pem\", allowed_names: [] }"), message: "is empty"),
            Refusal(
                text: tls("client_certificates: { ca: \"@root.pem\", allowed_names: ['spiffe://mesh*'] }"),
                message: "no name a certificate may have"),
            Refusal(
                text: tls("client_certificates: { ca: \"@root.pem\", allowed_names: ['*'] }"),
                message: "no name a certificate may have"),
            Refusal(text: "client_certificate_header: keep", message: "sanitize, forward_only, append_forward"),
        ])
    func listenerRefusals(_ refusal: Refusal) throws {
        let found = try mistakes(listener: refusal.text)
        #expect(
            found.contains { $0.hasPrefix("p.yaml:1:") && $0.contains(refusal.message) && $0.contains("expected") },
            "\(found)")
    }

    @Test(
        "An upstream's wrong tls is a mistake, with its place and what was expected",
        arguments: [
            Refusal(text: "protocol: auto", message: "'protocol: auto' is what ALPN agrees on"),
            Refusal(text: "tls: { certificate: \"@client.pem\" }", message: "'key' is missing"),
            Refusal(text: "tls: { key: \"@client.key\" }", message: "'certificate' is missing"),
            Refusal(text: "tls: { certificate: \"@client.pem\", key: \"@server.key\" }", message: "does not belong"),
            Refusal(
                text: "tls: { certificate: \"@client-expired.pem\", key: \"@client-expired.key\" }",
                message: "has expired"),
            Refusal(text: "tls: { ca: \"@none.pem\" }", message: "No such file"),
            Refusal(text: "tls: { ca: \"@root.key\" }", message: "no certificate"),
            Refusal(text: "tls: { crl: \"@crl.pem\" }", message: "'crl' without 'ca'"),
            Refusal(text: "tls: { server_name: 'a b' }", message: "a host name or an IP address"),
            Refusal(text: "tls: { allowed_names: [\"a/*\"] }", message: "no name a certificate may have"),
            Refusal(text: "tls: { insecure: true }", message: "unknown key"),
            Refusal(text: "tls: yes", message: "expected a mapping"),
        ])
    func upstreamRefusals(_ refusal: Refusal) throws {
        let found = try mistakes(upstream: refusal.text)
        #expect(
            found.contains { $0.hasPrefix("p.yaml:2:") && $0.contains(refusal.message) && $0.contains("expected") },
            "\(found)")
    }

    @Test("Authorities that have all expired are a mistake; beside one that has not, they are not")
    func expiredAuthorities() throws {
        let both = try TestCertificates.path("expired.pem")
        let text = try String(contentsOfFile: both, encoding: .utf8)
        let end = try #require(text.firstRange(of: "-----END CERTIFICATE-----\n")).upperBound
        let folder = try TemporaryFolder()
        let one = try folder.write(String(text[..<end]), to: "one.pem")
        #expect(try mistakes(upstream: "tls: { ca: \"\(both)\" }") == [])
        let found = try mistakes(upstream: "tls: { ca: \"\(one)\" }")
        #expect(found.count == 1 && found[0].contains("every certificate in it has expired"), "\(found)")
    }

    @Test("A unix socket has no name a certificate could be for: one must be given")
    func unixEndpoint() throws {
        func text(_ tls: String) -> [UInt8] {
            Array(
                """
                listeners: [ { address: "127.0.0.1:5000", routes: [ { upstream: a } ] } ]
                upstreams: { a: { endpoints: ["unix:/run/a"], tls: { \(tls) } } }
                """.utf8)
        }
        #expect(throws: ConfigurationLoader.Failure.self) { try ConfigurationLoader.load(text: text(""), file: "p") }
        for tls in ["server_name: a.test", "allowed_names: [a.test]", "insecure_skip_verify: true"] {
            _ = try ConfigurationLoader.load(text: text(tls), file: "p")
        }
    }

    @Test(
        "An exporter's tls goes with https, and its files are looked into",
        arguments: [
            Refusal(text: "zipkin: { endpoint: \"http://c\", tls: {} }", message: "goes with an https endpoint"),
            Refusal(text: "otlp: { endpoint: \"https://c\", tls: { ca: \"@no.pem\" } }", message: "No such file"),
            Refusal(
                text: "otlp: { endpoint: \"https://c\", tls: { certificate: \"@client.pem\" } }",
                message: "'key' is missing"),
            Refusal(text: "otlp: { endpoint: \"https://c\", tls: { crl: x } }", message: "unknown key 'crl'"),
        ])
    func exporterRefusals(_ refusal: Refusal) throws {
        let found = try mistakes(exporter: refusal.text)
        #expect(found.contains { $0.hasPrefix("p.yaml:3:") && $0.contains(refusal.message) }, "\(found)")
    }

    @Test("Whoever is not verified, and a certificate that ends within a week, is warned of")
    func warnings() throws {
        let warnings = try load(
            listener: Self.tls("", Self.pair("ends-soon")), upstream: "tls: { insecure_skip_verify: true }",
            exporter: "otlp: { name: far, endpoint: \"https://c\", tls: { insecure_skip_verify: true } }"
        ).get().warnings
        #expect(warnings.count == 3)
        #expect(warnings.contains { $0.hasPrefix("p.yaml:1:") && $0.contains("ends-soon.pem' expires on 20") })
        #expect(warnings.contains { $0.hasPrefix("p.yaml:2:") && $0.contains("the upstream 'a' is not verified") })
        #expect(warnings.contains { $0.hasPrefix("p.yaml:3:") && $0.contains("the collector 'far' is not verified") })
        let idle = try load(listener: "client_certificate_header: sanitize_set").get().warnings
        #expect(idle.count == 1 && idle[0].contains("removes the field"))
    }

    @Test("The variables of OpenTelemetry name the files of an OTLP exporter behind https")
    func environment() throws {
        let text = Array(
            """
            listeners: [ { address: "127.0.0.1:5000", routes: [ { upstream: a } ] } ]
            upstreams: { a: { endpoints: ["b:1"] } }
            """.utf8)
        var environment = [
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://c:4318",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere",
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": try TestCertificates.anchors,
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": try TestCertificates.path("client.pem"),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": try TestCertificates.path("client.key"),
        ]
        let tls = try ConfigurationLoader.load(text: text, file: "p", environment: environment).configuration.tracing
            .exporters[0].tls
        #expect(tls?.anchors == (try TestCertificates.anchors))
        #expect(tls?.key == (try TestCertificates.path("client.key")))
        environment["OTEL_EXPORTER_OTLP_CLIENT_KEY"] = try TestCertificates.path("server.key")
        do {
            _ = try ConfigurationLoader.load(text: text, file: "p", environment: environment)
            Issue.record("expected a mistake")
        } catch {
            #expect(error.lines.contains { $0.hasPrefix("OTEL_EXPORTER_OTLP_CLIENT_KEY: ") }, "\(error.lines)")
        }
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://c:4318"
        let plain = try ConfigurationLoader.load(text: text, file: "p", environment: environment)
        #expect(plain.configuration.tracing.exporters[0].tls == nil)
    }

    @Test("--upstream https:// is port 443 and verified by the system's store")
    func quickMode() throws {
        var options = LaunchOptions()
        options["listen"] = "5000"
        options["upstream"] = "https://b.example/"
        let upstream = try ConfigurationLoader.load(options, environment: [:]).configuration.upstreams[0]
        #expect(upstream.endpoints == [.host("b.example", port: 443)])
        #expect(upstream.tls?.verifies == true)
    }

    @Test("No mistake shows what is in a key, whole or broken")
    func secrecy() throws {
        let key = try String(contentsOfFile: TestCertificates.path("server.key"), encoding: .utf8)
        let folder = try TemporaryFolder()
        let body = key.split(separator: "\n").dropFirst().dropLast()
        let broken = try folder.write(key.replacing("A", with: "?"), to: "broken.key")
        let cut = try folder.write(String(key.prefix(600)), to: "cut.key")
        let bare = try folder.write(body.joined(separator: "\n"), to: "bare.key")
        for path in [broken, cut, bare] {
            for text in [
                Self.tls("", "{ certificate: \"@server.pem\", key: \"\(path)\" }"),
                Self.tls("", "{ certificate: \"\(path)\", key: \"@server.key\" }"),
                Self.tls("client_certificates: { ca: \"\(path)\", crl: \"\(path)\" }"),
            ] {
                let found = try mistakes(listener: text)
                #expect(!found.isEmpty)
                for line in body { #expect(!found.joined().contains(line.prefix(12))) }
            }
        }
    }
}
