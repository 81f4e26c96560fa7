// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Synchronization

/// What the control thread asks of a worker, in the order of a shutdown.
enum WorkerOrder: Int, AtomicRepresentable, Sendable {
    case run
    /// Answer on, each time with `Connection: close`.
    case drain
    /// Accept nothing more, and end once the last connection has.
    case finish
    /// End now.
    case abandon
}

/// One worker as the control thread sees it.
final class WorkerHandle: Sendable {
    private let order = Atomic<WorkerOrder>(.run)
    private let bell = Locked<Bell?>(nil)
    private let resolved = Atomic<Bool>(false)
    private let ended = Atomic<Bool>(false)

    /// Every upstream's name has been looked up once.
    var isResolved: Bool { resolved.load(ordering: .relaxed) }
    var hasEnded: Bool { ended.load(ordering: .acquiring) }
    var currentOrder: WorkerOrder { order.load(ordering: .acquiring) }

    func send(_ next: WorkerOrder) {
        order.store(next, ordering: .releasing)
        bell.withLock { $0?.ring() }
    }

    /// Endpoints have new verdicts.
    func tellVerdicts() { bell.withLock { $0?.ring() } }

    func reportResolved(_ isResolved: Bool) { resolved.store(isResolved, ordering: .relaxed) }

    /// The worker's thread has its loop; orders ring it from now on.
    func attach(_ bell: Bell) { self.bell.withLock { $0 = bell } }

    /// The worker's loop ends; its bell must not ring any more.
    func detach() {
        bell.withLock { $0 = nil }
        ended.store(true, ordering: .releasing)
    }
}
