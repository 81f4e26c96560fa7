// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Glibc
import SpanEmitter

/// The running proxy as the control thread sees it: workers, reporter, admin listener, signals.
public final class Proxy {
    private let configuration: Configuration
    private let log: Log
    private let loop: EventLoop
    private let workers: [WorkerHandle]
    private let metrics: [WorkerMetrics]
    private let metricNames: MetricNames
    private let reporter: SpanReporter
    private var threads: [SystemThread] = []
    private var signals: [SignalSource] = []
    private var admin: AdminServer?
    private var shutdown: Shutdown?
    private let board: EndpointBoard
    private var healthChecker: HealthChecker?
    private var ejectionWatch: EjectionWatch?
    private let tlsFiles: TLSFiles

    /// Runs until a signal ends it.
    ///
    /// - Returns: the exit code: 0 after a clean stop, 1 if it could not start.
    public static func run(_ configuration: Configuration) -> Int32 {
        Host.ignoreBrokenPipes()
        Host.ignoreHangUps()
        Host.refuseCoreDumps()
        Host.endAtOnceOnCrash()
        let descriptorLimit = Host.raiseDescriptorLimit()
        Host.returnFreeMemory()  // reading the configuration took more than it keeps
        guard let log = try? Log(level: configuration.log.level, format: configuration.log.format) else { return 1 }
        defer { log.stop() }
        if Host.isRoot { log.warn("running as root, which this program never needs; run it as another user") }
        do throws(StartError) {
            try checkCapacity(configuration, descriptorLimit: descriptorLimit)
            let proxy = try Proxy(configuration, log: log)
            try proxy.start(descriptorLimit: descriptorLimit)
            proxy.loop.run()
            return proxy.stop()
        } catch {
            log.error("cannot start", ["reason": error.text])
            return 1
        }
    }

    /// Connections that were promised and can never be had are a mistake to be told now, not under load.
    private static func checkCapacity(_ configuration: Configuration, descriptorLimit: Int) throws(StartError) {
        let capacity = WorkerPlan.connectionCapacity(configuration, descriptorLimit: descriptorLimit)
        var wanted = [("limits.connections", configuration.limits.connections)]
        wanted += configuration.listeners.map { ("max_connections of listener \($0.name)", $0.maximumConnections) }
        for (name, count) in wanted where count > capacity {
            throw .descriptors(wanted: name, count, limit: descriptorLimit, capacity: capacity)
        }
    }

    /// Listeners are opened before any thread starts, so that a taken port ends the process at once, and
    /// before the reporter is made: spans name the ports the kernel chose.
    private init(_ configuration: Configuration, log: Log) throws(StartError) {
        self.configuration = configuration
        self.log = log
        do throws(EventLoopError) {
            loop = try EventLoop()
        } catch {
            throw .resource(error)
        }
        tlsFiles = try TLSFiles(configuration, log: log)
        if !tlsFiles.isEmpty { Host.hideMemory() }
        let count = max(1, configuration.workers)
        let workers = (0..<count).map { _ in WorkerHandle() }
        self.workers = workers
        board = EndpointBoard(configuration.upstreams, log: log) {
            for worker in workers { worker.tellVerdicts() }
        }
        let names = MetricNames(configuration)
        metricNames = names
        metrics = (0..<count).map { _ in WorkerMetrics(names) }
        var opened: [[SharedDescriptor]] = []
        for listener in configuration.listeners {
            opened.append(try Self.open(listener.address.socketAddress, name: listener.name, count: count))
        }
        descriptors = opened
        adminDescriptor = try configuration.admin.map { (admin) throws(StartError) in
            try Self.open(admin.address.socketAddress, name: "admin", count: 1)[0]
        }
        let rings = (0..<count).map { _ in SpanRing() }
        reporter = SpanReporter(
            exporters: configuration.tracing.exporters,
            names: SpanNames(configuration, version: Version.text, listeners: opened.compactMap { $0[0].address }),
            rings: rings,
            contexts: tlsFiles.contexts.exporters,
            log: { level, message in
                switch level {
                case .info: log.info(message)
                case .warn: log.warn(message)
                case .error: log.error(message)
                }
            })
        self.rings = rings
    }

    private let rings: [SpanRing]
    /// One per worker for each listener; empty once the workers have them.
    private var descriptors: [[SharedDescriptor]]
    private let adminDescriptor: SharedDescriptor?

    private func start(descriptorLimit: Int) throws(StartError) {
        do throws(EventLoopError) {
            for number in [SIGTERM, SIGINT] {
                signals.append(try SignalSource(number, on: loop) { [unowned self] in signalled() })
            }
            signals.append(try SignalSource(SIGHUP, on: loop) { [unowned self] in tlsFiles.reloadAll() })
            try tlsFiles.start(on: loop)
            let bell = try reporter.start()
            if configuration.upstreams.contains(where: { $0.healthCheck != nil }) {
                healthChecker = try HealthChecker(
                    configuration.upstreams,
                    tls: zip(configuration.upstreams, tlsFiles.contexts.upstreams).map { UpstreamTLS($0.tls, $1) },
                    board: board, on: loop)
            }
            ejectionWatch = try EjectionWatch(configuration.upstreams, board: board, on: loop)
            for (index, handle) in workers.enumerated() {
                let plan = WorkerPlan(
                    configuration: configuration, listeners: Locked(descriptors.map { $0[index] }), index: index,
                    handle: handle, metrics: metrics[index], ring: rings[index], wakeReporter: bell,
                    descriptorLimit: descriptorLimit, board: board, tls: tlsFiles.contexts, log: log)
                threads.append(try SystemThread(name: "worker-\(index)", wakesSoon: true) { plan.run() })
            }
            if let adminDescriptor { try startAdmin(adminDescriptor) }
        } catch {
            throw .resource(error)
        }
        announce()
        // The workers have them now: a listening socket closes when its worker stops to accept.
        descriptors = []
    }

    private static func open(_ address: SocketAddress, name: String, count: Int) throws(StartError)
        -> [SharedDescriptor]
    {
        do throws(EventLoopError) {
            return try Listening.open(address, count: count)
        } catch {
            throw .listener(name: name, address: address.description, error)
        }
    }

    private func announce() {
        for (listener, sockets) in zip(configuration.listeners, descriptors) {
            log.info("listening", ["name": listener.name, "address": sockets[0].address?.description ?? "?"])
        }
        if let admin = adminDescriptor {
            log.info("listening", ["name": "admin", "address": admin.address?.description ?? "?"])
        }
        log.info(
            "started",
            ["version": Version.text, "service": configuration.service, "workers": String(workers.count)])
    }

    private func startAdmin(_ descriptor: SharedDescriptor) throws(EventLoopError) {
        admin = try AdminServer(
            descriptor, on: loop, allowsRemote: configuration.admin?.allowsRemote ?? false,
            ready: { [unowned self] in shutdown == nil && workers.allSatisfy(\.isResolved) },
            metrics: { [unowned self] in
                MetricsPage.render(
                    metrics, spans: SpanFigures(reporter.snapshot()), endpoints: board.figures(),
                    tls: tlsFiles.figures, names: metricNames, logLinesDropped: log.droppedCount)
            })
    }

    // MARK: Shutdown

    /// First: not ready, then drain, then no more accepting. Second: now.
    private func signalled() {
        guard shutdown == nil else {
            log.warn("second signal: stopping now")
            for worker in workers { worker.send(.abandon) }
            return
        }
        log.info("draining", ["delay_ms": String(configuration.shutdown.drainDelayMilliseconds)])
        shutdown = try? Shutdown(configuration.shutdown, workers: workers, on: loop)
        if shutdown == nil { loop.stop() }
    }

    private func stop() -> Int32 {
        healthChecker?.stop()
        ejectionWatch = nil
        tlsFiles.stop()
        for thread in threads { thread.join() }
        let lost = reporter.stop(flushWithin: configuration.shutdown.flushMilliseconds)
        log.info("stopped", ["spans_lost": String(lost)])
        return 0
    }
}

/// Why the proxy could not start.
enum StartError: Error {
    case listener(name: String, address: String, EventLoopError)
    case resource(EventLoopError)
    /// Found good when the configuration was read, and no longer so.
    case tls(kind: String, name: String, TLSFileError)
    /// The limit of open files leaves room for fewer connections than the configuration asks for.
    case descriptors(wanted: String, Int, limit: Int, capacity: Int)

    var text: String {
        switch self {
        case .listener(let name, let address, let error): "listener \(name) on \(address): \(error.text)"
        case .resource(let error): error.text
        case .tls(let kind, let name, let error): "\(kind) \(name): '\(error.path)' \(error.reason)"
        case .descriptors(let name, let count, let limit, let capacity):
            "\(name) is \(count), but the limit of \(limit) open files leaves room for \(capacity):"
                + " raise it (ulimit -n) or lower the number"
        }
    }
}
