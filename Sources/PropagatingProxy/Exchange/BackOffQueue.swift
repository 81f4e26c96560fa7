// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// One worker's exchanges that wait for their next try. A timer of its own, because the wheel of deadlines is too coarse
/// for tens of milliseconds.
final class BackOffQueue {
    /// Exchanges that may wait at once; a retry beyond it is not made.
    static let limit = 1024

    private struct Entry {
        /// Monotonic microseconds.
        let due: UInt64
        let exchange: Exchange
    }

    private let loop: EventLoop
    private var timer: LoopTimer?
    private var waiting: [Entry] = []

    init(on loop: EventLoop) { self.loop = loop }

    var count: Int { waiting.count }
    var hasRoom: Bool { waiting.count < Self.limit }

    /// Calls `backOffEnded` of the exchange after so many milliseconds, unless it is removed before.
    ///
    /// - Returns: false without room or memory.
    func add(_ exchange: Exchange, milliseconds: Int) -> Bool {
        if timer == nil { timer = try? LoopTimer(on: loop) { [unowned self] in fire() } }
        guard hasRoom, timer != nil else { return false }
        let now = Clock.monotonicMicroseconds
        waiting.append(Entry(due: now + UInt64(max(1, milliseconds)) * 1000, exchange: exchange))
        arm(now)
        return true
    }

    /// The exchange waits no longer.
    func remove(_ exchange: Exchange) {
        waiting.removeAll { $0.exchange === exchange }
    }

    private func arm(_ now: UInt64) {
        guard let first = waiting.lazy.map(\.due).min() else { return }
        timer?.start(milliseconds: first > now ? Int((first - now + 999) / 1000) : 0)
    }

    private func fire() {
        let now = Clock.monotonicMicroseconds
        let due = waiting.filter { $0.due <= now }
        waiting.removeAll { $0.due <= now }
        for entry in due { entry.exchange.backOffEnded() }
        arm(now)
    }
}
