// SPDX-License-Identifier: Apache-2.0

import CTestProcess
import Foundation
public import Glibc

/// A program this test started: what it prints, its end, its memory. It is killed with its owner.
public final class RunningProgram: Sendable {
    public let pid: pid_t
    private let text = Observed("")
    /// Whether all that it printed has been read.
    private let drained = Observed(false)
    /// As `waitpid` gave it; nil while the program runs.
    private let ended = Observed<Int32?>(nil)

    /// Both outputs are captured. The environment is the given one, PATH and what steers a sanitizer; nothing else of the test's.
    public init(_ path: String, _ arguments: [String] = [], environment: [String: String] = [:]) throws {
        var ends: [Int32] = [0, 0]
        guard unsafe pipe(&ends) == 0 else { throw SocketError.last("pipe") }
        defer { close(ends[1]) }
        let kept = ["PATH", "ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "SWIFT_BACKTRACE"]
        let variables = ProcessInfo.processInfo.environment.filter { kept.contains($0.key) }
            .merging(environment) { $1 }.map { "\($0)=\($1)" }
        guard let pid = Self.spawn(path, [path] + arguments, variables, output: ends[1]) else {
            close(ends[0])
            throw SocketError.last("start \(path)")
        }
        self.pid = pid
        let (text, drained, ended, reader) = (text, drained, ended, ends[0])
        Thread.detachNewThread {
            var piece = [UInt8](repeating: 0, count: 1 << 14)
            while case let count = unsafe read(reader, &piece, piece.count), count > 0 {
                text.change { $0 += String(decoding: piece[..<count], as: UTF8.self) }
            }
            close(reader)
            drained.change { $0 = true }
        }
        Thread.detachNewThread {
            var status: Int32 = 0
            while unsafe waitpid(pid, &status, 0) < 0 && errno == EINTR {}
            ended.change { $0 = status }
            text.change { _ in }  // Who waits for output learns that none will come.
        }
    }

    deinit { kill() }

    /// All that it printed so far.
    public var output: String { text.current }

    /// Whether the output comes to satisfy this; false as soon as the program has ended without.
    @discardableResult
    public func waitForOutput(seconds: Double = 30, _ holds: (String) -> Bool) -> Bool {
        guard text.wait(seconds: seconds, until: { holds($0) || !isRunning }) else { return false }
        // That it has ended may be known before its last words are read.
        if !holds(output), !isRunning { drained.wait { $0 } }
        return holds(output)
    }

    /// The port that it prints as a line of its own, behind this word.
    public func printedPort(_ word: String) throws -> UInt16 {
        func number(in text: String) -> UInt16? {
            let whole = text.prefix(upTo: text.lastIndex(of: "\n") ?? text.startIndex)
            let line = whole.split(separator: "\n").first { $0.hasPrefix("\(word) ") }
            return line.flatMap { UInt16($0.dropFirst(word.count + 1)) }
        }
        waitForOutput(seconds: 60) { number(in: $0) != nil }
        guard let port = number(in: output) else { throw SocketError.timeout("no line '\(word) …' of \(output)") }
        return port
    }

    /// The exit status, or minus the number of the signal that ended it; nil when it still runs after the time.
    public func waitForExit(seconds: Double = 30) -> Int32? {
        guard ended.wait(seconds: seconds, until: { $0 != nil }) else { return nil }
        // A child of the program may hold the pipe open for longer; its words are not waited for.
        drained.wait { $0 }
        return ended.current.map { $0 & 0x7f == 0 ? ($0 >> 8) & 0xff : -($0 & 0x7f) }
    }

    public var isRunning: Bool { ended.current == nil }

    public func signal(_ number: Int32) {
        ended.change { if $0 == nil { _ = Glibc.kill(pid, number) } }
    }

    /// Runs the body while the program stands still, so that it sees at once what the body brings about. A signal to stop
    /// takes each thread when that next would run: one that has been told of half of it by then would go on with that.
    public func whileStopped<Result>(_ body: () throws -> Result) throws -> Result {
        signal(SIGSTOP)
        defer { signal(SIGCONT) }
        let deadline = Deadline(30)
        while !everyThreadIsStopped {
            guard deadline.millisecondsLeft > 0 else { throw SocketError.timeout("program \(pid) does not stop") }
            usleep(1000)
        }
        return try body()
    }

    private var everyThreadIsStopped: Bool {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
        return threads.allSatisfy {
            let text = (try? String(contentsOfFile: "/proc/\(pid)/task/\($0)/stat", encoding: .utf8)) ?? ""
            return text.drop { $0 != ")" }.hasPrefix(") T")
        }
    }

    /// Ends it at once and waits for that.
    public func kill() {
        signal(SIGKILL)
        _ = waitForExit()
    }

    /// Resident memory in KiB; 0 when it has ended.
    public var residentKiB: Int { statusNumber("VmRSS:") }
    public var peakResidentKiB: Int { statusNumber("VmHWM:") }

    /// Processor time of all its threads, to the 10 ms.
    public var cpuSeconds: Double {
        let text = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
        let fields = text.drop { $0 != ")" }.split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    public var openDescriptors: Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count) ?? 0
    }

    /// The arguments as any user of the machine sees them.
    public var visibleArguments: String {
        let data = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
        return String(decoding: data.map { $0 == 0 ? 32 : $0 }, as: UTF8.self)
    }

    private func statusNumber(_ name: String) -> Int {
        let status = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix(name) }
        return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
    }

    private static func spawn(_ path: String, _ arguments: [String], _ variables: [String], output: Int32) -> pid_t? {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
        unsafe posix_spawn_file_actions_adddup2(&actions, output, 2)
        // A socket of a test that runs beside this one must not live on in the program.
        unsafe spawn_close_from(&actions, 3)

        // The test's own threads block signals, and children inherit that.
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var argv = unsafe arguments.map { unsafe strdup($0) } + [nil]
        var envp = unsafe variables.map { unsafe strdup($0) } + [nil]
        defer { unsafe (argv + envp).forEach { unsafe free($0) } }
        var pid: pid_t = 0
        errno = unsafe posix_spawn(&pid, path, &actions, &attributes, &argv, &envp)
        return errno == 0 ? pid : nil
    }
}
