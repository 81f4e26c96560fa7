// SPDX-License-Identifier: Apache-2.0
public import EventLoop

/// The log: structured lines to stderr, from any thread.
///
/// A line goes into a bounded queue that a thread of its own empties, so that a worker never waits
/// for whoever reads stderr; lines that find the queue full are dropped and counted. Requests are
/// not logged: spans tell of them. Called at start, stop and when something is wrong.
public final class Log: Sendable {
    private let level: LogLevel
    private let format: LogFormat
    private let queue: LogQueue
    private let limiter = LogLimiter()
    private let writer: SystemThread
    private let epochMicroseconds: @Sendable () -> UInt64
    private let monotonicMicroseconds: @Sendable () -> UInt64

    /// Starts the writer thread.
    ///
    /// - Parameter level: lines of lesser importance are not written.
    public convenience init(level: LogLevel = .info, format: LogFormat = .text) throws(EventLoopError) {
        try self.init(level: level, format: format) { StandardError.write($0.span) }
    }

    /// - Parameters:
    ///   - epochMicroseconds: the time lines bear.
    ///   - monotonicMicroseconds: the time rates are limited by.
    ///   - write: gets whole lines on the writer thread, and may block.
    init(
        level: LogLevel, format: LogFormat,
        epochMicroseconds: @escaping @Sendable () -> UInt64 = { Clock.epochMicroseconds },
        monotonicMicroseconds: @escaping @Sendable () -> UInt64 = { Clock.monotonicMicroseconds },
        write: @escaping @Sendable ([UInt8]) -> Void
    ) throws(EventLoopError) {
        self.level = level
        self.format = format
        self.epochMicroseconds = epochMicroseconds
        self.monotonicMicroseconds = monotonicMicroseconds
        let queue = try LogQueue()
        self.queue = queue
        writer = try SystemThread(name: "log") {
            queue.drain(
                report: { dropped in
                    Self.line(format, .warn, epochMicroseconds(), "log lines dropped", ["count": dropped], 0)
                },
                write: write)
        }
    }

    public func error(_ message: String, _ fields: @autoclosure () -> LogFields = [:]) {
        write(.error, message, fields)
    }

    public func warn(_ message: String, _ fields: @autoclosure () -> LogFields = [:]) {
        write(.warn, message, fields)
    }

    public func info(_ message: String, _ fields: @autoclosure () -> LogFields = [:]) {
        write(.info, message, fields)
    }

    public func debug(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> LogFields = [:]) {
        guard isEnabled(.debug) else { return }
        write(.debug, message(), fields)
    }

    /// A line that a peer can cause: at most one a second for each key, with the number of those
    /// left out in between.
    ///
    /// - Parameters:
    ///   - seconds: between two lines.
    ///   - message: `key` itself, unless given.
    public func limited(
        _ level: LogLevel, key: StaticString, everySeconds seconds: UInt64 = 1,
        _ message: @autoclosure () -> String? = nil,
        _ fields: @autoclosure () -> LogFields = [:]
    ) {
        guard isEnabled(level) else { return }
        let name = key.description
        let now = monotonicMicroseconds()
        guard let suppressed = limiter.pass(name, level, everySeconds: seconds, monotonicMicroseconds: now) else {
            return
        }
        write(level, message() ?? name, fields, suppressed)
    }

    public func isEnabled(_ level: LogLevel) -> Bool { level <= self.level }

    /// Lines that found the queue full since the start.
    public var droppedCount: UInt64 { queue.droppedCount }

    /// Waits until everything is written, and tells what the rate limit still holds back.
    ///
    /// - Returns: false if the reader of stderr took too long.
    @discardableResult
    public func flush(milliseconds: Int = 500) -> Bool {
        for (key, level, count) in limiter.takeRemaining() { write(level, key, { [:] }, count) }
        return queue.flush(milliseconds: milliseconds)
    }

    /// Flushes and ends the writer thread. The last call.
    public func stop(milliseconds: Int = 500) {
        let isFlushed = flush(milliseconds: milliseconds)
        queue.close()
        // A writer that is stuck in write(2) ends with the process.
        if isFlushed { writer.join() }
    }

    private func write(_ level: LogLevel, _ message: String, _ fields: () -> LogFields, _ suppressed: Int = 0) {
        guard isEnabled(level) else { return }
        queue.append(Self.line(format, level, epochMicroseconds(), message, fields(), suppressed))
    }

    private static func line(
        _ format: LogFormat, _ level: LogLevel, _ time: UInt64, _ message: String, _ fields: LogFields,
        _ suppressed: Int
    ) -> [UInt8] {
        switch format {
        case .text: LogLine.text(level, at: time, message, fields, suppressed: suppressed)
        case .json: LogLine.json(level, at: time, message, fields, suppressed: suppressed)
        }
    }
}
