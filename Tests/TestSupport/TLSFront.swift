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
        program.waitForOutput { Self.told("session ", in: $0).count >= least }
        return Self.told("session ", in: program.output).compactMap {
            try? JSONDecoder().decode(Session.self, from: Data($0.utf8))
        }
    }

    /// Why the others ended, as it sees it.
    public var failures: [String] {
        Self.told("failure ", in: program.output)
    }

    /// Waits for so many failures.
    public func waitForFailures(_ count: Int = 1) -> Bool {
        program.waitForOutput { Self.told("failure ", in: $0).count >= count }
    }

    /// What whole lines say behind this beginning; the last one may still be coming.
    private static func told(_ beginning: String, in output: String) -> [String] {
        output.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            .filter { $0.hasPrefix(beginning) }.map { String($0.dropFirst(beginning.count)) }
    }

    /// Returns when its port is free.
    public func stop() {
        program.kill()
        _ = program.waitForExit()
    }
}
