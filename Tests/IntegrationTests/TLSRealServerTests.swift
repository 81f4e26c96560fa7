// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("TLS towards nginx", .enabled(if: Tool.nginx != nil, "no nginx"))
struct TLSRealServerTests {
    /// How nginx is set up, and what it then says of a request.
    struct Setup: Sendable, CustomTestStringConvertible {
        let version: String
        var wantsCertificate = false
        let upstreamProtocol: String

        var testDescription: String { "\(upstreamProtocol) by \(version)\(wantsCertificate ? ", mutual" : "")" }
        var spokenProtocol: String { upstreamProtocol == "http1" ? "HTTP/1.1" : "HTTP/2.0" }
    }

    static let setups = ["TLSv1.2", "TLSv1.3"].flatMap { version in
        ["http1", "http2", "auto"].flatMap { upstreamProtocol in
            [false, true].map { Setup(version: version, wantsCertificate: $0, upstreamProtocol: upstreamProtocol) }
        }
    }

    @Test("Files arrive byte for byte, by the version and the protocol that were asked for", arguments: setups)
    func files(_ setup: Setup) throws {
        let folder = try TemporaryFolder()
        let body = String(decoding: Pattern.bytes(300_000).map { 32 + $0 % 64 }, as: UTF8.self)
        _ = try folder.write(body, to: "file")
        let port = try SocketAddress.reserved().port
        let pair = try TestCertificates.pair("server-ecdsa")
        let callers =
            "ssl_client_certificate \(try TestCertificates.anchors); ssl_verify_client on; ssl_verify_depth 3;"
        let file = try folder.write(
            """
            daemon off; master_process off; pid \(folder.path)/pid; error_log stderr; worker_processes 1;
            events { worker_connections 64; }
            http {
              access_log off;
              \(["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map { "\($0)_temp_path \(folder.path)/\($0);" }.joined())
              server {
                listen 127.0.0.1:\(port) ssl http2;
                ssl_certificate \(pair.certificate); ssl_certificate_key \(pair.key); ssl_protocols \(setup.version);
                \(setup.wantsCertificate ? callers : "")
                root \(folder.path);
                location /facts { return 200 "$server_protocol $ssl_protocol $ssl_client_verify"; }
              }
            }
            """, to: "nginx.conf")
        let nginx = try RunningProgram(try #require(Tool.nginx), ["-p", folder.path, "-c", file])
        defer { nginx.kill() }
        // It needs a moment to listen.
        while nginx.isRunning, (try? Peer(to: .ipv4(port: port))) == nil { usleep(20_000) }
        var text = ConfigurationText(upstream: .ipv4(port: port))
        text.upstreams["app"]? += [
            "protocol: \(setup.upstreamProtocol)",
            SecureStage.yaml(try SecureStage.lines(setup.wantsCertificate ? .mutual : .tls13)),
        ]
        let proxy = try ProxyProcess(configuration: text.yaml)
        let facts = try proxy.get("/facts").body.text
        #expect(facts == "\(setup.spokenProtocol) \(setup.version) \(setup.wantsCertificate ? "SUCCESS" : "NONE")")
        for _ in 0..<3 { #expect(try proxy.get("/file").body.text == body) }
    }
}
