// SPDX-License-Identifier: Apache-2.0

/// Keeps the addresses of one endpoint fresh.
///
/// Resolves at once and again whenever the answer's time to live ends, but no sooner than after
/// 5 s. When a later query fails, the last good addresses stay, and the retries are spread out.
public final class NameWatch {
    static let floorSeconds = 5
    private static let ceilingSeconds = 3600
    private static let firstRetryMilliseconds = 1000
    private static let lastRetryMilliseconds = 30_000

    public let host: String
    public let port: UInt16
    /// The last good answer; empty before the first.
    public private(set) var addresses: [SocketAddress] = []
    /// Why the latest query failed; `nil` after one that did not.
    public private(set) var failure: String?

    private let resolver: Resolver
    private var timer: LoopTimer?
    private var query: NameQuery?
    private var failuresInRow = 0
    private let changed: ([SocketAddress]) -> Void
    private let failed: (String) -> Void

    /// - Parameters:
    ///   - changed: gets the addresses whenever their set has changed; never empty. May be
    ///     called before ``start()`` returns.
    ///   - failed: gets the reason of each failed query, for the log.
    public init(
        _ host: String, port: UInt16, with resolver: Resolver, on loop: EventLoop,
        changed: @escaping ([SocketAddress]) -> Void, failed: @escaping (String) -> Void = { _ in }
    ) throws(EventLoopError) {
        self.host = host
        self.port = port
        self.resolver = resolver
        self.changed = changed
        self.failed = failed
        timer = try LoopTimer(on: loop) { [unowned self] in refresh() }
    }

    /// Begins, or resolves anew at once.
    public func start() { refresh() }

    /// No call comes after this; the addresses stay.
    public func stop() {
        query?.cancel()
        query = nil
        timer?.cancel()
    }

    private func refresh() {
        stop()
        query = resolver.resolve(host, port: port) { [weak self] in self?.settle($0) }
    }

    private func settle(_ outcome: ResolveOutcome) {
        query = nil
        switch outcome {
        case .addresses(let found, let seconds):
            failure = nil
            failuresInRow = 0
            if seconds != Resolver.forever {
                timer?.start(milliseconds: Self.refreshMilliseconds(timeToLiveSeconds: seconds))
            }
            // Servers turn the order round at each answer; that is no change.
            if !Self.haveSameElements(found, addresses) {
                addresses = found
                changed(found)
            }
        case .failed(let reason):
            failure = reason
            timer?.start(milliseconds: Self.retryMilliseconds(after: failuresInRow))
            failuresInRow += 1
            failed(reason)
        }
    }

    static func refreshMilliseconds(timeToLiveSeconds seconds: Int) -> Int {
        min(max(seconds, floorSeconds), ceilingSeconds) * 1000
    }

    /// Doubles from 1 s to 30 s; jitter takes up to half of it off, so that a fleet does not ask in step.
    static func retryMilliseconds(after failuresInRow: Int) -> Int {
        let full = min(firstRetryMilliseconds << min(failuresInRow, 10), lastRetryMilliseconds)
        return Int.random(in: full / 2...full)
    }

    private static func haveSameElements(_ a: [SocketAddress], _ b: [SocketAddress]) -> Bool {
        a.count == b.count && a.allSatisfy { b.contains($0) }
    }

    deinit {
        query?.cancel()
        timer = nil  // before the resolver, which may be the last owner of the loop
    }
}
