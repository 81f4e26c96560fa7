// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// Hands out turns to one worker's handshakes. A step of one may take a millisecond of the processor, so a crowd of them
/// must not hold up the requests of others: a few go in each turn of the loop, first come, first served.
final class HandshakeQueue {
    /// Steps in one turn of the loop.
    private static let turnLimit = 8

    private let loop: EventLoop
    private var timer: LoopTimer?
    /// No more than there are connections: each stands here once.
    private var waiting: [TLSHandshake] = []
    /// How many at the front of ``waiting`` have had their turn.
    private var servedCount = 0
    private var pass: UInt64 = 0
    private var stepCount = 0

    init(on loop: EventLoop) { self.loop = loop }

    var count: Int { waiting.count - servedCount }

    /// Whether a step may be made now; else ``TLSHandshake/turnCame()`` tells when.
    func admits(_ handshake: TLSHandshake) -> Bool {
        if timer == nil { timer = try? LoopTimer(on: loop) { [unowned self] in serve() } }
        guard count > 0 || !takeStep(), timer != nil else { return true }
        if count == 0 { timer?.start(milliseconds: 0) }
        waiting.append(handshake)
        return false
    }

    private func takeStep() -> Bool {
        if pass != loop.passCount { (pass, stepCount) = (loop.passCount, 0) }
        stepCount += 1
        return stepCount <= Self.turnLimit
    }

    private func serve() {
        while servedCount < waiting.count, takeStep() {
            let handshake = waiting[servedCount]  // bounded: below the count
            servedCount += 1
            handshake.turnCame()
        }
        guard servedCount == waiting.count else {
            timer?.start(milliseconds: 0)
            return dropServed()
        }
        waiting.removeAll(keepingCapacity: servedCount < 1024)
        servedCount = 0
    }

    /// In large pieces: a piece is moved once.
    private func dropServed() {
        guard servedCount >= 1024 else { return }
        waiting.removeFirst(servedCount)
        servedCount = 0
    }

    /// The worker has ended.
    func end() {
        timer = nil
        waiting.removeAll()
        servedCount = 0
    }
}
