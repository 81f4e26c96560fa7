// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Callers that speak TLS to the binary: curl, openssl and a script over Python's `ssl`. None of them shares code with it.
enum TLSCaller {
    static let curl = Tool.find("curl")
    static let openssl = Tool.find("openssl")
    static let isThere = curl != nil && openssl != nil && Tool.python != nil
    static let whyNot: Comment = "curl, openssl or python3 is not installed"

    /// What one connection of Cases/tls_caller.py was told.
    struct Told: Decodable {
        var failed: String?
        var version: String?
        var alpn: String?
        var resumed: Bool?
        /// Of the certificate it was shown.
        var names: [String]?
        /// `close_notify`, `cut`, `reset`, `open` or an alert.
        var end: String?
        var received: String?
    }

    /// Its arguments are described there; those of the address and the authority are added.
    static func speak(_ arguments: [String] = [], to proxy: ProxyProcess, listener: String = "front") throws -> [Told] {
        let output = try run(
            Tool.python,
            [
                "-B", "\(Tool.repository)/Tests/IntegrationTests/Cases/tls_caller.py",
                "\(proxy.address(of: listener))", "--ca", TestCertificates.anchors,
            ] + arguments)
        return try JSONDecoder().decode([Told].self, from: Data(output.utf8))
    }

    /// For `https://name:port`, wherever the name points to.
    struct Fetch {
        var status: Int
        /// Such as `2` or `1.1`.
        var version: String
        /// What curl printed, the answer's body too unless it went to a file.
        var output: String
        /// curl's; 0 is well.
        var exitStatus: Int32
    }

    static func fetch(
        _ path: String = "/", from proxy: ProxyProcess, name: String = "localhost", listener: String = "front",
        _ arguments: [String] = []
    ) throws -> Fetch {
        let address = try proxy.address(of: listener)
        let port = try #require("\(address)".split(separator: ":").last)
        let (status, output) = try Tool.run(
            try #require(curl),
            [
                "-sS", "--max-time", "60", "--cacert", TestCertificates.anchors, "--resolve",
                "\(name):\(port):127.0.0.1",
                "-w", "\ncurl %{http_code} %{http_version}", "https://\(name):\(port)\(path)",
            ] + arguments)
        let words = output.split(separator: "\n").last { $0.hasPrefix("curl ") && !$0.hasPrefix("curl:") } ?? ""
        let parts = words.split(separator: " ")
        return Fetch(
            status: parts.count > 1 ? Int(parts[1]) ?? 0 : 0, version: parts.count > 2 ? String(parts[2]) : "",
            output: output, exitStatus: status)
    }

    /// What `openssl s_client` prints; its standard input is at its end.
    static func client(_ arguments: [String], to proxy: ProxyProcess, listener: String = "front") throws -> String {
        try Tool.run(
            try #require(openssl),
            ["s_client", "-connect", "\(proxy.address(of: listener))", "-CAfile", TestCertificates.anchors] + arguments
        ).1
    }

    /// A shell's command line, for pipes.
    static func shell(_ line: String) throws -> String {
        try Tool.run("/bin/sh", ["-c", line]).1
    }

    private static func run(_ path: String?, _ arguments: [String]) throws -> String {
        let (status, output) = try Tool.run(try #require(path), arguments)
        #expect(status == 0, "\(output)")
        return output
    }
}

extension ConfigurationText {
    /// The listener speaks TLS with this certificate, and what further lines of `tls` say.
    mutating func speakTLS(_ names: [String] = ["server-ecdsa"], _ lines: [String] = []) throws {
        let certificates = try names.map { try TestCertificates.pair($0).yaml }.joined(separator: ", ")
        listener.append("tls: { \((["certificates: [\(certificates)]"] + lines).joined(separator: ", ")) }")
    }

    /// Callers show a certificate of the test authority's.
    static func callers(_ further: String = "") throws -> String {
        let revocations = try TestCertificates.revocations
        return try "client_certificates: { ca: \"\(TestCertificates.anchors)\", crl: \"\(revocations)\"\(further) }"
    }
}

extension Stage {
    /// A listener that speaks TLS, before an upstream that gives every body back.
    static func secured(
        _ names: [String] = ["server-ecdsa"], _ line: String = "session_tickets: true",
        _ configure: (inout ConfigurationText) -> Void = { _ in }
    ) throws -> Stage {
        try secured(names, line, script: FakeUpstream.echo, configure)
    }

    static func secured(
        _ names: [String] = ["server-ecdsa"], _ line: String = "session_tickets: true",
        script: @escaping FakeUpstream.Script, _ configure: (inout ConfigurationText) -> Void = { _ in }
    ) throws -> Stage {
        var secured = ConfigurationText(upstream: .ipv4(port: 1))
        try secured.speakTLS(names, [line])
        return try Stage(script: script) {
            $0.listener += secured.listener
            configure(&$0)
        }
    }
}
