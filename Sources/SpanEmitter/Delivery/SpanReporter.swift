// SPDX-License-Identifier: Apache-2.0
public import EventLoop
import Synchronization
public import TLS

/// How much a line of the reporter matters.
public enum ReporterLogLevel: Sendable { case info, warn, error }

/// The reporter thread: drains the workers' rings and brings their spans to every collector.
public final class SpanReporter: Sendable {
    private let exporters: [ExporterConfiguration]
    /// By the indices of the exporters.
    private let contexts: [Published<ClientContext>?]
    private let names: SpanNames
    private let rings: [SpanRing]
    private let log: @Sendable (ReporterLogLevel, String) -> Void
    private let ledger: SpanLedger
    private let started = Locked<Result<Bell, EventLoopError>?>(nil)
    private let thread = Locked<SystemThread?>(nil)
    /// Milliseconds the last flush may take; -1 while there is no end in sight.
    private let stopMilliseconds = Atomic<Int>(-1)

    /// - Parameters:
    ///   - contexts: of the exporters behind https, by index.
    ///   - log: called on the reporter's thread; must not block.
    public init(
        exporters: [ExporterConfiguration], names: SpanNames, rings: [SpanRing],
        contexts: [Published<ClientContext>?] = [],
        log: @escaping @Sendable (ReporterLogLevel, String) -> Void = { _, _ in }
    ) {
        self.exporters = exporters
        self.contexts = contexts
        self.names = names
        self.rings = rings
        self.log = log
        ledger = SpanLedger(exporters.map(\.name), rings: rings)
    }

    /// Starts the thread and waits until it listens. Call once.
    ///
    /// - Returns: what a worker rings when its ring asks for it.
    @discardableResult
    public func start() throws(EventLoopError) -> Bell {
        let ready = try Doorbell()
        let running = try SystemThread(name: "reporter") { [self] in run(ready) }
        thread.withLock { $0 = running }
        ready.wait()
        switch started.withLock({ $0 }) {
        case .success(let bell): return bell
        case .failure(let error): throw error
        case nil: throw .outOfMemory  // cannot be: the thread rings after it has written
        }
    }

    /// Wakes the reporter before its next look at the rings; `nil` before ``start()``.
    public var bell: Bell? {
        guard case .success(let bell) = started.withLock({ $0 }) else { return nil }
        return bell
    }

    /// Drains soon.
    public func wake() { bell?.ring() }

    /// Drains the rings for the last time, flushes, and ends the thread. The workers have stopped.
    ///
    /// - Returns: how many spans could not be brought to some collector in time.
    @discardableResult
    public func stop(flushWithin milliseconds: Int) -> Int {
        stopMilliseconds.store(max(0, milliseconds), ordering: .releasing)
        wake()
        thread.withLock { $0.take() }?.join()
        return ledger.snapshot().exporters.reduce(0) { $0 + Int(clamping: $1[.shutdown]) }
    }

    /// Where every span is; any thread.
    public func snapshot() -> SpanAccounting { ledger.snapshot() }

    private func run(_ ready: Doorbell) {
        do throws(EventLoopError) {
            let work = try ReporterWork(
                exporters, contexts: contexts, names: names, rings: rings, ledger: ledger, log: log,
                stopMilliseconds: { [self] in stopMilliseconds.load(ordering: .acquiring) })
            started.withLock { $0 = .success(work.bell) }
            ready.ring()
            work.run()
        } catch {
            started.withLock { $0 = .failure(error) }
            ready.ring()
        }
    }
}
