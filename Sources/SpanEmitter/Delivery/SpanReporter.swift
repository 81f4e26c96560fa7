// SPDX-License-Identifier: Apache-2.0
public import EventLoop
import Synchronization

/// How the reporter tells of what an operator should know: level, message, exporter, detail.
public typealias ReporterLog = @Sendable (ReporterLogLevel, StaticString, String, String) -> Void

public enum ReporterLogLevel: Sendable { case info, warn }

/// Held while spans change places, so that a snapshot never sees one twice or not at all.
typealias ReporterLock = Locked<ReporterState>

/// What the reporter's thread shares with whoever asks for a snapshot.
struct ReporterState {
    /// Records taken from each ring.
    var drained: [UInt64]
    var exporters: [Exporter] = []
    /// The final figures, once the thread has ended.
    var final: SpanAccounting?
}

/// The thread that takes finished spans from the workers' rings, encodes them and delivers them.
/// A dead or slow collector can only fill its own bounded queue.
public final class SpanReporter: @unchecked Sendable {
    /// Records taken from one ring before the next has its turn.
    private static let drainLimit = 1024
    private static let pollMilliseconds = 50

    private let configurations: [ExporterConfiguration]
    private let names: SpanNames
    private let rings: [SpanRing]
    private let log: ReporterLog
    private let lock: ReporterLock
    private let doorbell = Locked<Bell?>(nil)
    private let stopMilliseconds = Atomic<Int>(-1)
    private var thread: SystemThread?

    /// - Parameters:
    ///   - rings: one per worker.
    ///   - log: may be called from the reporter's thread.
    public init(exporters: [ExporterConfiguration], names: SpanNames, rings: [SpanRing], log: @escaping ReporterLog) {
        configurations = exporters
        self.names = names
        self.rings = rings
        self.log = log
        lock = ReporterLock(ReporterState(drained: rings.map { _ in 0 }))
    }

    /// Starts the thread; call once.
    ///
    /// - Returns: what a worker rings when ``SpanRing/push(_:)`` asks for it.
    public func start() throws(EventLoopError) -> Bell {
        let ready = Locked<Result<Bell, EventLoopError>?>(nil)
        let started = try Doorbell()
        thread = try SystemThread(name: "reporter") { [self] in
            do throws(EventLoopError) {
                let loop = try EventLoop()
                let life = try ReporterLife(self, on: loop)
                ready.withLock { $0 = life.bell.map { .success($0) } }
                started.ring()
                loop.run()
                life.end()
            } catch {
                ready.withLock { $0 = .failure(error) }
                started.ring()
            }
        }
        started.wait()
        switch ready.withLock({ $0 }) {
        case .success(let bell):
            doorbell.withLock { $0 = bell }
            return bell
        case .failure(let error): throw error
        case nil: throw .outOfMemory
        }
    }

    /// Flushes what waits and ends the thread. No worker may push any more.
    ///
    /// - Returns: spans that were lost because the time did not suffice, over all exporters.
    public func stop(flushWithin milliseconds: Int) -> UInt64 {
        stopMilliseconds.store(milliseconds, ordering: .releasing)
        doorbell.withLock { $0?.ring() }
        thread?.join()
        thread = nil
        return snapshot().exporters.reduce(0) { $0 + $1.dropped[DropReason.shutdown.rawValue] }
    }

    /// What became of the spans up to now; exact at every moment.
    public func snapshot() -> SpanAccounting {
        lock.withLock { state in state.final ?? account(state) }
    }

    /// Each ring's counters are read once, so that what a worker adds meanwhile is either in all
    /// figures or in none.
    private func account(_ state: ReporterState) -> SpanAccounting {
        var accounting = SpanAccounting()
        var waiting: UInt64 = 0
        var refused: UInt64 = 0
        for (ring, drained) in zip(rings, state.drained) {
            let pushed = ring.pushedCount
            let dropped = ring.droppedCount
            accounting.started += pushed + dropped
            waiting += pushed - drained
            refused += dropped
        }
        accounting.exporters = state.exporters.map { exporter in
            var account = exporter.account
            account.dropped[DropReason.ringFull.rawValue] = refused
            account.queued = waiting + UInt64(exporter.queue.spanCount)
            return account
        }
        return accounting
    }

    // MARK: On the thread

    /// The state of the thread's life, all of it on the loop.
    private final class ReporterLife {
        private let reporter: SpanReporter
        private let loop: EventLoop
        private var exporters: [Exporter] = []
        private var wakeUp: WakeUp?
        private var poll: LoopTimer?
        private var deadline: LoopTimer?
        private var isStopping = false

        init(_ reporter: SpanReporter, on loop: EventLoop) throws(EventLoopError) {
            self.reporter = reporter
            self.loop = loop
            let resolver = try Resolver(on: loop)
            for configuration in reporter.configurations {
                exporters.append(
                    try Exporter(
                        configuration, names: reporter.names, resolver: resolver, lock: reporter.lock,
                        log: reporter.log, on: loop))
            }
            let all = exporters
            reporter.lock.withLock { $0.exporters = all }
            wakeUp = try WakeUp(on: loop) { [unowned self] in work() }
            poll = try LoopTimer(on: loop, repeats: true) { [unowned self] in work() }
            poll?.start(milliseconds: SpanReporter.pollMilliseconds)
            deadline = try LoopTimer(on: loop) { [unowned self] in self.loop.stop() }
        }

        var bell: Bell? { wakeUp?.bell }

        private func work() {
            if !isStopping, reporter.stopMilliseconds.load(ordering: .acquiring) >= 0 { beginStop() }
            drain()
            for exporter in exporters { exporter.deliver() }
            if isStopping, exporters.allSatisfy(\.isEmpty) { loop.stop() }
        }

        private func drain() {
            let now = Clock.monotonicMicroseconds
            for (index, ring) in reporter.rings.enumerated() {
                var count = SpanReporter.drainLimit
                while count == SpanReporter.drainLimit {
                    count = reporter.lock.withLock { state in
                        let count = ring.drain(limit: SpanReporter.drainLimit) { record in
                            for exporter in exporters { take(record, exporter, now) }
                        }
                        state.drained[index] += UInt64(count)
                        return count
                    }
                }
            }
        }

        private func take(_ record: borrowing SpanRecord, _ exporter: Exporter, _ now: UInt64) {
            if !exporter.queue.append(record, with: &exporter.encoder, nowMicroseconds: now) {
                exporter.account.dropped[DropReason.queueFull.rawValue] += 1
            }
        }

        private func beginStop() {
            isStopping = true
            drain()
            for exporter in exporters { exporter.beginStop() }
            deadline?.start(milliseconds: max(1, reporter.stopMilliseconds.load(ordering: .acquiring)))
            poll?.start(milliseconds: 5)
        }

        /// What is left is counted, and the figures outlive the thread.
        func end() {
            reporter.doorbell.withLock { $0 = nil }
            reporter.lock.withLock { state in
                for exporter in exporters {
                    exporter.account.dropped[DropReason.shutdown.rawValue] += UInt64(exporter.queue.spanCount)
                    while exporter.queue.first() != nil { exporter.queue.removeFirst() }
                }
                state.final = reporter.account(state)
                state.exporters = []
            }
            for exporter in exporters { exporter.close() }
            exporters = []
            poll = nil
            deadline = nil
            wakeUp = nil
        }
    }
}
