// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// Programs outside the repository that some tests run against; such a test is skipped, with the reason, where they are absent.
public enum Tool {
    /// The repository's root.
    public static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().standardizedFileURL.path

    /// Python with the packages of scripts/requirements.txt where `scripts/setup` has put them, else the machine's.
    public static let python: String? = find("python3")
    public static let nginx: String? = find("nginx")
    /// Whether that Python has grpcio.
    public static let hasGRPC: Bool = {
        guard let python else { return false }
        return (try? run(python, ["-c", "import grpc.aio"], within: 60).0) == 0
    }()

    /// The program's path: from the environment variable, `../shared/tools/`, the tools of `scripts/setup`, then PATH.
    public static func find(_ name: String, variable: String? = nil) -> String? {
        let environment = ProcessInfo.processInfo.environment
        if let variable, let path = environment[variable], !path.isEmpty { return path }
        let folders =
            ["\(repository)/../shared/tools", "\(repository)/.build/tools/venv/bin"]
            + (environment["PATH"] ?? "").split(separator: ":").map(String.init) + ["/usr/sbin"]
        return folders.map { "\($0)/\(name)" }.first { unsafe access($0, R_OK) == 0 }
    }

    /// Runs a program to its end and returns what it printed on both outputs, with its exit status.
    public static func run(_ path: String, _ arguments: [String], within seconds: Double = 300) throws -> (
        Int32, String
    ) {
        let running = try RunningProgram(path, arguments)
        guard let status = running.waitForExit(seconds: seconds) else {
            running.kill()
            throw SocketError.timeout("\(path) \(arguments.joined(separator: " ")): \(running.output.suffix(2000))")
        }
        return (status, running.output)
    }
}
