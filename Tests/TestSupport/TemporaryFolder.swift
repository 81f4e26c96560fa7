// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A folder that goes away with its owner. Short, because a unix socket's path holds 107 bytes.
public final class TemporaryFolder: Sendable {
    public let path: String

    public init() throws {
        path = "/tmp/pp-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    public func write(_ text: String, to name: String) throws -> String {
        let file = "\(path)/\(name)"
        try text.write(toFile: file, atomically: false, encoding: .utf8)
        return file
    }
}
