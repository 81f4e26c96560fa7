// SPDX-License-Identifier: Apache-2.0
import EventLoop
import SpanEmitter
import TLS

/// Certificates, keys and authorities of the configuration: read at the start, and again on SIGHUP and when the files
/// change. On any mistake the old ones stay in use. Lives on the control thread.
final class TLSFiles {
    /// From the first sign of a change to the look: whoever writes has several files to write.
    private static let settleMilliseconds = 100
    /// A certificate and the key of another one are looked at again, because one of the two may be about to follow.
    private static let retryMilliseconds = 50
    private static let lookLimit = 6
    /// For changes nobody tells of, on file systems of other machines.
    private static let pollMilliseconds = 60_000

    let contexts: TLSContexts
    private let uses: [TLSUse]
    private let log: Log
    private var watch: FileWatch?
    private var settling: LoopTimer?
    private var poll: LoopTimer?
    private var isSettling = false
    /// Of the round of looks under way.
    private var lookCount = 0
    private var isForced = false
    private var loadedNow = 0
    private var loadedCount: UInt64 = 0
    private var failedCount: UInt64 = 0

    init(_ configuration: Configuration, log: Log) throws(StartError) {
        self.log = log
        var assembly = Assembly()
        contexts = TLSContexts(
            listeners: try configuration.listeners.map { (listener) throws(StartError) in
                try assembly.add(listener)
            },
            upstreams: try configuration.upstreams.map { (upstream) throws(StartError) in
                try assembly.add(upstream)
            },
            exporters: try configuration.tracing.exporters.map { (exporter) throws(StartError) in
                try assembly.add(exporter)
            })
        uses = assembly.uses
    }

    var isEmpty: Bool { uses.isEmpty }

    /// Watches the files from now on.
    func start(on loop: EventLoop) throws(EventLoopError) {
        guard !uses.isEmpty else { return }
        settling = try LoopTimer(on: loop) { [unowned self] in
            isSettling = false
            look()
        }
        poll = try LoopTimer(on: loop, repeats: true) { [unowned self] in
            beginRound(isForced: false)
            warnOfEnd()
        }
        poll?.start(milliseconds: Self.pollMilliseconds)
        do throws(EventLoopError) {
            watch = try FileWatch(on: loop) { [unowned self] in changed() }
        } catch {
            log.warn("files are not watched, and looked at each minute", ["reason": error.text])
        }
        // What has changed since it was read has not been told.
        beginRound(isForced: false)
    }

    func stop() {
        (watch, settling, poll) = (nil, nil, nil)
    }

    /// Looks at once, the system's store included.
    func reloadAll() {
        guard !uses.isEmpty else { return log.info("reloaded nothing: there is no TLS") }
        beginRound(isForced: true)
    }

    // MARK: Looking

    private func changed() {
        guard !isSettling else { return }
        (lookCount, loadedNow) = (0, 0)
        wait(Self.settleMilliseconds)
    }

    private func beginRound(isForced: Bool) {
        (lookCount, loadedNow) = (0, 0)
        self.isForced = self.isForced || isForced
        look()
    }

    private func wait(_ milliseconds: Int) {
        isSettling = true
        settling?.start(milliseconds: milliseconds)
    }

    /// The watch goes before the reading: what changes after it is told.
    private func look() {
        lookCount += 1
        if watch?.watch(uses.flatMap(\.paths)) == false {
            log.limited(.warn, key: "some files cannot be watched, and are looked at each minute", everySeconds: 3600)
        }
        let loader = TLSFileLoader()
        for use in uses where use.reload(loader, force: isForced && use.usesSystemStore && lookCount == 1) == .loaded {
            loadedNow += 1
            loadedCount += 1
            tellLoaded(use)
        }
        if lookCount < Self.lookLimit, uses.contains(where: \.isFailureNews) { return wait(Self.retryMilliseconds) }
        endRound()
    }

    private func endRound() {
        let failing = uses.filter { $0.failure != nil && ($0.isFailureNews || isForced) }
        for use in failing { tellFailed(use) }
        if isForced, loadedNow == 0, failing.isEmpty { log.info("reloaded nothing: no file has changed") }
        isForced = false
    }

    // MARK: Telling

    private func tellLoaded(_ use: TLSUse) {
        guard let end = use.shown.map(\.facts.notAfter).min() else {
            return log.info("certificates reloaded", [use.kind.rawValue: use.name])
        }
        let time = LogLine.timeText(epochSeconds: end)
        log.info("certificates reloaded", [use.kind.rawValue: use.name, "expires": time])
    }

    private func tellFailed(_ use: TLSUse) {
        guard let failure = use.failure else { return }
        failedCount += 1
        use.failureTold()
        log.error(
            "certificates not reloaded, the old ones stay in use",
            [use.kind.rawValue: use.name, failure.role.rawValue: failure.path, "reason": failure.reason])
    }

    private func warnOfEnd() {
        let shown = uses.flatMap(\.shown).sorted { $0.facts.notAfter < $1.facts.notAfter }
        guard let first = shown.first, let warning = TLSFileLoader().warning(first.facts) else { return }
        log.limited(
            .warn, key: "a certificate ends soon", everySeconds: 86_400, nil,
            ["certificate": first.path, "reason": warning])
    }

    var figures: TLSFigures {
        TLSFigures(
            loaded: loadedCount, failed: failedCount,
            uses: uses.map { use in
                TLSFigures.Use(
                    kind: use.kind.rawValue, name: use.name, isFailing: use.failure != nil,
                    certificates: use.shown.map { ($0.path, $0.facts.notAfter) })
            })
    }
}

/// Makes the first context of each use.
private struct Assembly {
    private let loader = TLSFileLoader()
    var uses: [TLSUse] = []

    mutating func add(_ listener: Configuration.Listener) throws(StartError) -> Published<ServerContext>? {
        guard let tls = listener.tls else { return nil }
        // They outlive a reload, so that sessions do.
        let keys = tls.givesTickets ? TicketKeys() : nil
        let protocols = listener.httpVersion.applicationProtocols
        var paths = tls.certificates.flatMap { [$0.certificate, $0.key] + [$0.ocspResponse].compactMap(\.self) }
        if let anchors = tls.callers?.anchors { paths += anchors.paths }
        return try add(.listener, listener.name, paths: paths, usesSystemStore: false) {
            (loader) throws(TLSFileError) in try loader.server(tls, protocols, keys)
        }
    }

    mutating func add(_ upstream: Configuration.Upstream) throws(StartError) -> Published<ClientContext>? {
        guard let tls = upstream.tls else { return nil }
        return try add(.upstream, upstream.name, tls, upstream.settings.httpVersion.applicationProtocols)
    }

    mutating func add(_ exporter: ExporterConfiguration) throws(StartError) -> Published<ClientContext>? {
        guard let tls = exporter.tls else { return nil }
        return try add(.exporter, exporter.name, Configuration.UpstreamTLS(tls), [.http1])
    }

    private mutating func add(
        _ kind: TLSUse.Kind, _ name: String, _ tls: Configuration.UpstreamTLS, _ protocols: [ApplicationProtocol]
    ) throws(StartError) -> Published<ClientContext>? {
        let own = tls.certificate.map { [$0.certificate, $0.key] } ?? []
        let anchors = tls.verifies ? tls.anchors.paths : []
        let usesSystemStore = tls.verifies && tls.anchors.anchors == nil
        return try add(kind, name, paths: own + anchors, usesSystemStore: usesSystemStore) {
            (loader) throws(TLSFileError) in try loader.client(tls, protocols)
        }
    }

    private mutating func add<Context>(
        _ kind: TLSUse.Kind, _ name: String, paths: [String], usesSystemStore: Bool,
        make: @escaping (TLSFileLoader) throws(TLSFileError) -> TLSFileLoader.Made<Context>
    ) throws(StartError) -> Published<Context> {
        do throws(TLSFileError) {
            let first = try make(loader)
            let published = Published(first.context)
            let use = TLSUse(
                kind, name, paths: paths, usesSystemStore: usesSystemStore, shown: first.shown, loader: loader
            ) { (loader) throws(TLSFileError) in
                let next = try make(loader)
                published.publish(next.context)
                return next.shown
            }
            uses.append(use)
            return published
        } catch {
            throw .tls(kind: kind.rawValue, name: name, error)
        }
    }
}

extension Configuration.AnchorFiles {
    var paths: [String] { [anchors, revocations].compactMap(\.self) }
}
