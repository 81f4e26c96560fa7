// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// The steps of a graceful stop: answer on for the drain delay, while load balancers notice that
/// this proxy is not ready; accept nothing more and finish what runs, within the grace; then end.
final class Shutdown {
    private enum Step { case draining, finishing, abandoning }

    private static let pollMilliseconds = 20
    private static let abandonMilliseconds = 1000

    private let settings: Configuration.Shutdown
    private let workers: [WorkerHandle]
    private let loop: EventLoop
    private var timer: LoopTimer?
    private var step = Step.draining
    private var stepStart = Clock.monotonicMicroseconds

    init(_ settings: Configuration.Shutdown, workers: [WorkerHandle], on loop: EventLoop) throws(EventLoopError) {
        self.settings = settings
        self.workers = workers
        self.loop = loop
        timer = try LoopTimer(on: loop, repeats: true) { [unowned self] in advance() }
        for worker in workers { worker.send(.drain) }
        timer?.start(milliseconds: Self.pollMilliseconds)
    }

    private func advance() {
        guard !workers.allSatisfy(\.hasEnded) else { return loop.stop() }
        let elapsed = Int((Clock.monotonicMicroseconds - stepStart) / 1000)
        switch step {
        case .draining where elapsed >= settings.drainDelayMilliseconds: enter(.finishing, .finish)
        case .finishing where elapsed >= settings.graceMilliseconds: enter(.abandoning, .abandon)
        // Nothing a worker does takes so long; do not hang on a bug of ours.
        case .abandoning where elapsed >= Self.abandonMilliseconds: loop.stop()
        default: break
        }
    }

    private func enter(_ next: Step, _ order: WorkerOrder) {
        step = next
        stepStart = Clock.monotonicMicroseconds
        for worker in workers { worker.send(order) }
    }
}
