// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// TLS in front of a plain server of the test, by another implementation than ours (Cases/tls_front.py).
public final class TLSFront: Sendable {
    /// What it knows of one handshake.
    public struct Session: Decodable, Sendable {
        public let version: String
        public let alpn: String?
        /// The server name that was asked for.
        public let name: String?
        public let resumed: Bool
        /// The subject of the caller's certificate.
        public let caller: [String]
    }

    private let program: RunningProgram
    public let address: SocketAddress

    /// - Parameter options: of the script, such as `--max 1.2`.
    public init(
        for backend: SocketAddress, certificate: String = "server-ecdsa", _ options: [String] = []
    ) throws {
        guard let python = Tool.find("python3") else { throw SocketError.malformed("no python3") }
        let pair = try TestCertificates.pair(certificate)
        program = try RunningProgram(
            python,
            [
                "-u", "-B", "\(Tool.repository)/Tests/IntegrationTests/Cases/tls_front.py", "--backend", "\(backend)",
                "--certificate", pair.certificate, "--key", pair.key,
            ] + options)
        address = try .ipv4(port: program.printedPort("port"))
    }

    /// Of the handshakes that ended well, in order, once there are so many: what it printed before it answered may be read
    /// after the answer.
    public func sessions(_ least: Int = 1) -> [Session] {
        program.waitForOutput { $0.split(separator: "\n").count { $0.hasPrefix("session ") } >= least }
        return program.output.split(separator: "\n").compactMap { line in
            guard line.hasPrefix("session ") else { return nil }
            return try? JSONDecoder().decode(Session.self, from: Data(line.dropFirst("session ".count).utf8))
        }
    }

    /// Why the others ended, as it sees it.
    public var failures: [String] {
        program.output.split(separator: "\n").filter { $0.hasPrefix("failure ") }.map { String($0.dropFirst(8)) }
    }

    /// Waits for so many failures.
    public func waitForFailures(_ count: Int = 1) -> Bool {
        program.waitForOutput { $0.split(separator: "\n").count { $0.hasPrefix("failure ") } >= count }
    }

    public func stop() { program.kill() }
}
