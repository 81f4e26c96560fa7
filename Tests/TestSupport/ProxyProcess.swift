// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// The real binary with a configuration of its own, ready to take requests. Ended with its owner.
public final class ProxyProcess: Sendable {
    public let program: RunningProgram
    /// Holds the configuration, and unix sockets the test wants gone with it.
    public let folder: TemporaryFolder

    /// `PROPAGATING_PROXY` names another binary; else the one built beside this test.
    public static let binary: String = {
        if let path = ProcessInfo.processInfo.environment["PROPAGATING_PROXY"] { return path }
        let test = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let beside = URL(fileURLWithPath: test).deletingLastPathComponent().path + "/propagating-proxy"
        if unsafe access(beside, X_OK) == 0 { return beside }
        return "\(Tool.repository)/.build/\(isOptimized ? "release" : "debug")/propagating-proxy"
    }()

    /// Starts with this YAML and waits until it is ready. Listeners take port 0; `address(of:)` tells which it became.
    public convenience init(
        configuration: String, folder: TemporaryFolder? = nil, arguments: [String] = [],
        environment: [String: String] = [:]
    ) throws {
        let folder = try folder ?? TemporaryFolder()
        let file = try folder.write(configuration, to: "proxy.yaml")
        try self.init(["--config", file] + arguments, environment: environment, folder: folder)
        try waitUntilReady()
    }

    /// Starts with these arguments and waits for nothing.
    public init(_ arguments: [String], environment: [String: String] = [:], folder: TemporaryFolder? = nil) throws {
        self.folder = try folder ?? TemporaryFolder()
        program = try RunningProgram(Self.binary, arguments, environment: environment)
    }

    /// Starts it by another program, such as a shell that sets limits and becomes it; waits for nothing.
    public init(program path: String, _ arguments: [String], folder: TemporaryFolder) throws {
        self.folder = folder
        program = try RunningProgram(path, arguments)
    }

    deinit { program.kill() }

    /// What it wrote to stderr (and stdout, where it writes nothing while it serves).
    public var log: String { program.output }

    /// Where the listener of this name is bound, from its line in the log; `admin` for the admin listener.
    public func address(of listener: String = "front", within seconds: Double = 40) throws -> SocketAddress {
        let found = program.waitForOutput(seconds: seconds) { Self.address(of: listener, in: $0) != nil }
        guard found, let text = Self.address(of: listener, in: log), let address = SocketAddress(text) else {
            throw SocketError.timeout("no listener \(listener); the proxy said:\n\(log)")
        }
        return address
    }

    public func waitUntilReady(within seconds: Double = 40) throws {
        let admin = try address(of: "admin", within: seconds)
        let deadline = Deadline(seconds)
        while try get("/ready", from: admin).status != 200 {
            guard deadline.millisecondsLeft > 0 else { throw SocketError.timeout("not ready; the proxy said:\n\(log)") }
            usleep(2000)
        }
    }

    public func connect(to listener: String = "front") throws -> Peer {
        try Peer(to: address(of: listener))
    }

    /// One request on a connection of its own.
    public func exchange(_ request: String, listener: String = "front") throws -> Response {
        try connect(to: listener).exchange(request)
    }

    public func get(_ path: String, listener: String = "front") throws -> Response {
        try get(path, from: address(of: listener))
    }

    public func metrics() throws -> Metrics {
        try Metrics(get("/metrics", listener: "admin").body.text)
    }

    /// Waits until the metrics say so; the metrics that did, or the last ones.
    public func metrics(within seconds: Double = 30, until holds: (Metrics) -> Bool) throws -> Metrics {
        let deadline = Deadline(seconds)
        while true {
            let metrics = try metrics()
            if holds(metrics) || deadline.millisecondsLeft == 0 { return metrics }
            usleep(20_000)
        }
    }

    /// SIGTERM, then the exit status; nil when it still runs after the time.
    public func terminate(within seconds: Double = 40) -> Int32? {
        program.signal(SIGTERM)
        return program.waitForExit(seconds: seconds)
    }

    private func get(_ path: String, from address: SocketAddress) throws -> Response {
        try Peer(to: address).exchange("GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    }

    private static func address(of listener: String, in log: String) -> String? {
        for line in log.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.contains("listening"), words.contains("name=\(listener)") else { continue }
            if let word = words.first(where: { $0.hasPrefix("address=") }) { return String(word.dropFirst(8)) }
        }
        return nil
    }
}
