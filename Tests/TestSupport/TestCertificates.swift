// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// What `scripts/make-test-certs` makes, in a folder that goes away with this process. Its head says what each name stands for.
public enum TestCertificates {
    /// A chain and its key.
    public struct Pair: Sendable {
        /// PEM, the leaf first.
        public let certificate: String
        /// PEM.
        public let key: String

        /// As a flow mapping for a configuration file.
        public var yaml: String { "{ certificate: \"\(certificate)\", key: \"\(key)\" }" }
    }

    private static let folder: Result<TemporaryFolder, any Error> = Result {
        let folder = try TemporaryFolder()
        let (status, output) = try Tool.run("\(Tool.repository)/scripts/make-test-certs", [folder.path])
        guard status == 0 else { throw SocketError.malformed("make-test-certs: \(output)") }
        // A static value is never released.
        _ = atexit { TestCertificates.remove() }
        return folder
    }

    private static func remove() {
        if case .success(let folder) = folder { try? FileManager.default.removeItem(atPath: folder.path) }
    }

    /// The path of a file of it, such as `root.pem`.
    public static func path(_ name: String) throws -> String { try "\(folder.get().path)/\(name)" }

    public static func pair(_ name: String) throws -> Pair {
        Pair(certificate: try path("\(name).pem"), key: try path("\(name).key"))
    }

    /// What the leaves are verified with.
    public static var anchors: String { get throws { try path("root.pem") } }
    /// Has `revoked` and `revoked-server`.
    public static var revocations: String { get throws { try path("crl.pem") } }
}
