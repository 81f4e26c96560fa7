// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// Delivers one collector's queue: one post at a time, with back-off while it fails.
final class Exporter {
    private static let firstDelayMilliseconds = 1000
    private static let lastDelayMilliseconds = 60_000

    let configuration: ExporterConfiguration
    /// Changed under the reporter's lock only.
    var queue: SpanQueue
    var account: SpanAccounting.Exporter
    var encoder: SpanEncoder
    private let request: PostRequest
    private let frame: BatchFrame
    private let loop: EventLoop
    private let pool: BufferPool
    private let lock: ReporterLock
    private let log: ReporterLog
    private var watch: NameWatch?
    private var addresses: [SocketAddress] = []
    private var turn = 0
    private var connection: CollectorConnection?
    private var body = ByteWriter(capacity: 64 * 1024)
    private var retryTimer: LoopTimer?
    private var delayMilliseconds = firstDelayMilliseconds
    private var isWaiting = false
    private var isFailing = false
    private var postUsedIdle = false
    private(set) var isStopping = false

    init(
        _ configuration: ExporterConfiguration, names: SpanNames, resolver: Resolver, lock: ReporterLock,
        log: @escaping ReporterLog, on loop: EventLoop
    ) throws(EventLoopError) {
        self.configuration = configuration
        self.lock = lock
        self.log = log
        self.loop = loop
        queue = SpanQueue(configuration)
        account = SpanAccounting.Exporter(name: configuration.name)
        encoder = SpanEncoder(configuration.encoding, profile: configuration.profile, names: names)
        frame = encoder.frame
        request = PostRequest(configuration, version: names.version)
        pool = BufferPool(limit: 4)
        retryTimer = try LoopTimer(on: loop) { [unowned self] in
            isWaiting = false
            deliver()
        }
        watch = try NameWatch(
            configuration.endpoint.host, port: configuration.endpoint.port, with: resolver, on: loop,
            changed: { [unowned self] in addresses = $0 },
            failed: { [unowned self] in noteFailure("name not resolved: \($0)") })
        watch?.start()
    }

    /// Posts what is due, unless a post is under way or the collector is given time.
    func deliver() {
        guard !isWaiting, connection?.isBusy != true else { return }
        let now = Clock.monotonicMicroseconds
        let flush = isStopping ? 0 : UInt64(configuration.flushMilliseconds) * 1000
        guard queue.isDue(nowMicroseconds: now, flushMicroseconds: flush) else { return }
        let batch = lock.withLock { _ in queue.first() }
        guard let batch else { return }
        post(batch)
    }

    /// What waits is posted at once from now on.
    func beginStop() {
        isStopping = true
        isWaiting = false
        retryTimer?.cancel()
        deliver()
    }

    /// Whether nothing waits any more.
    var isEmpty: Bool { queue.isEmpty }

    /// Ends everything; called before the loop ends.
    func close() {
        watch?.stop()
        connection?.close()
        connection = nil
        retryTimer = nil
        watch = nil
    }

    // MARK: Posting

    private func post(_ batch: SpanBatch) {
        guard let connection = openConnection() else { return }
        postUsedIdle = connection.servedCount > 0
        body.truncate(to: 0)
        batch.write(in: frame, into: &body)
        connection.post(timeoutMilliseconds: configuration.timeoutMilliseconds) { out in
            request.write(body, into: &out)
        }
    }

    private func openConnection() -> CollectorConnection? {
        if let connection, connection.isOpen { return connection }
        connection = nil
        guard !addresses.isEmpty else {
            retry(reason: "name not resolved", afterMilliseconds: nil)
            return nil
        }
        turn = turn + 1 < addresses.count ? turn + 1 : 0
        switch Connecting.start(addresses[turn]) {
        case .failed(let errno): retry(reason: errorText(errno), afterMilliseconds: nil)
        case .connected(let descriptor): connection = connected(descriptor, isConnecting: false)
        case .inProgress(let descriptor): connection = connected(descriptor, isConnecting: true)
        }
        return connection
    }

    private func connected(_ descriptor: consuming Descriptor, isConnecting: Bool) -> CollectorConnection {
        CollectorConnection(descriptor, isConnecting: isConnecting, pool: pool, on: loop) { [unowned self] _, outcome in
            ended(outcome)
        }
    }

    private func ended(_ outcome: PostOutcome) {
        switch outcome {
        case .accepted(let rejected): accepted(rejected: rejected)
        case .tooLarge: tooLarge()
        case .refused(let status): refused(status)
        case .retry where postUsedIdle && connection?.isOpen != true:
            // The collector may have closed the idle connection just then: not its failure.
            connection = nil
            postUsedIdle = false
        case .retry(let reason, let delay): return retry(reason: reason, afterMilliseconds: delay)
        }
        deliver()
    }

    private func accepted(rejected: UInt64) {
        lock.withLock { _ in
            let count = UInt64(queue.first()?.count ?? 0)
            account.posts += 1
            account.exported += count - min(rejected, count)
            account.dropped[DropReason.rejected.rawValue] += min(rejected, count)
            queue.removeFirst()
        }
        delayMilliseconds = Self.firstDelayMilliseconds
        if isFailing {
            isFailing = false
            log(.info, "collector accepts spans again", configuration.name, "")
        }
        if rejected > 0 { log(.warn, "collector rejected spans", configuration.name, "\(rejected) of a post") }
    }

    private func tooLarge() {
        lock.withLock { _ in
            account.posts += 1
            account.failures += 1
            if let batch = queue.first(), batch.count > 1 {
                queue.splitFirst()
            } else {
                drop(.tooLarge)
            }
        }
    }

    private func refused(_ status: UInt16) {
        lock.withLock { _ in
            account.posts += 1
            account.failures += 1
            drop(.rejected)
        }
        noteFailure("status \(status)")
    }

    /// Only under the lock.
    private func drop(_ reason: DropReason) {
        account.dropped[reason.rawValue] += UInt64(queue.first()?.count ?? 0)
        queue.removeFirst()
    }

    /// The batch stays; the delay doubles each time, up to a minute, with jitter so that many
    /// proxies do not come back at once.
    private func retry(reason: String, afterMilliseconds: Int?) {
        lock.withLock { _ in
            account.posts += 1
            account.failures += 1
        }
        noteFailure(reason)
        if connection?.isOpen != true { connection = nil }
        isWaiting = true
        let jittered = Int.random(in: delayMilliseconds / 2...delayMilliseconds)
        let wanted = min(max(jittered, afterMilliseconds ?? 0), Self.lastDelayMilliseconds)
        // At the end there is no time for politeness.
        retryTimer?.start(milliseconds: isStopping ? 100 : wanted)
        delayMilliseconds = min(delayMilliseconds * 2, Self.lastDelayMilliseconds)
    }

    private func noteFailure(_ reason: String) {
        guard !isFailing else { return }
        isFailing = true
        log(.warn, "collector does not accept spans", configuration.name, reason)
    }
}
