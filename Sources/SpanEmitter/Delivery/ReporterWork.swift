// SPDX-License-Identifier: Apache-2.0
import EventLoop
import TLS

/// What the reporter's thread does, on its own loop.
final class ReporterWork {
    /// Records drained per round, so that accounting and posts keep moving under load.
    private static let round = 512

    private let loop: EventLoop
    private let rings: [SpanRing]
    private let ledger: SpanLedger
    private let stopMilliseconds: () -> Int
    private var exporters: [SpanExporter] = []
    private var wakeUp: WakeUp?
    private var drainTimer: LoopTimer?
    private var flushTimers: [LoopTimer] = []
    private var deadline: LoopTimer?
    private var isStopping = false
    let bell: Bell

    init(
        _ configurations: [ExporterConfiguration], contexts: [Published<ClientContext>?], names: SpanNames,
        rings: [SpanRing], ledger: SpanLedger,
        log: @escaping @Sendable (ReporterLogLevel, String) -> Void, stopMilliseconds: @escaping () -> Int
    ) throws(EventLoopError) {
        let loop = try EventLoop()
        self.loop = loop
        self.rings = rings
        self.ledger = ledger
        self.stopMilliseconds = stopMilliseconds
        let woken = Callback()
        let wakeUp = try WakeUp(on: loop) { woken.action() }
        self.wakeUp = wakeUp
        bell = wakeUp.bell
        let resolver = try Resolver(on: loop)
        for (index, configuration) in configurations.enumerated() {
            let exporter = try SpanExporter(
                configuration, context: contexts.indices.contains(index) ? contexts[index] : nil, index: index,
                names: names, ledger: ledger, loop: loop, resolver: resolver, log: log)
            exporters.append(exporter)
            exporter.onEmpty = { [unowned self] in endIfEmpty() }
            let timer = try LoopTimer(on: loop, repeats: true) { [unowned self] in
                drain()
                exporter.flush()
            }
            timer.start(milliseconds: max(1, configuration.flushIntervalMilliseconds))
            flushTimers.append(timer)
        }
        drainTimer = try LoopTimer(on: loop, repeats: true) { [unowned self] in drain() }
        drainTimer?.start(milliseconds: 1000)
        deadline = try LoopTimer(on: loop) { [unowned loop] in loop.stop() }
        woken.action = { [unowned self] in self.woken() }
    }

    func run() {
        loop.run()
        drain()
        for exporter in exporters { exporter.abandon() }
    }

    private func woken() {
        drain()
        let milliseconds = stopMilliseconds()
        guard milliseconds >= 0, !isStopping else { return }
        isStopping = true
        deadline?.start(milliseconds: milliseconds)
        for exporter in exporters { exporter.beginStop() }
        endIfEmpty()
    }

    private func endIfEmpty() {
        if isStopping, exporters.allSatisfy(\.isEmpty) { loop.stop() }
    }

    /// Moves every waiting record into every queue.
    private func drain() {
        for ring in rings {
            while drain(ring) == Self.round {}
        }
        for exporter in exporters { exporter.post() }
    }

    /// - Returns: how many records there were.
    private func drain(_ ring: SpanRing) -> Int {
        let (records, spans) = ring.waiting(limit: Self.round)
        guard records > 0 else { return 0 }
        let taken = exporters.map { $0.enqueue(records, of: ring) }
        ring.free(records)
        ledger.drained(spans, taken: taken)
        return records
    }

    /// Set after everything it calls exists.
    private final class Callback {
        var action: () -> Void = {}
    }
}
