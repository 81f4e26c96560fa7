// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import Propagation
import SpanEmitter

/// Everything one worker's thread needs to build its worker: plain values and thread-safe objects.
struct WorkerPlan: Sendable {
    let configuration: Configuration
    /// One per listener of the configuration, in order. The worker takes them, so that a listening
    /// socket closes when its worker stops to accept and not when the thread ends.
    let listeners: Locked<[SharedDescriptor]>
    let index: Int
    let handle: WorkerHandle
    let metrics: WorkerMetrics
    let ring: SpanRing
    let wakeReporter: Bell
    /// Open descriptors this process may have.
    let descriptorLimit: Int
    let board: EndpointBoard
    let tls: TLSContexts
    let log: Log

    private static let resolutionPollMilliseconds = 20
    /// A worker with less could serve hardly anybody.
    private static let leastBufferPages = 64

    /// The worker's whole life, on its own thread.
    func run() {
        do throws(EventLoopError) {
            try runWorker()
        } catch {
            log.error("worker ended", ["worker": String(index), "reason": error.text])
        }
        handle.detach()
    }

    private func runWorker() throws(EventLoopError) {
        let loop = try EventLoop()
        let worker = Worker(
            loop: loop, bufferPages: bufferPages,
            connectionLimit: connectionLimit, sampler: sampler,
            metrics: metrics, ring: ring, wakeReporter: wakeReporter, log: log)
        let resolver = try Resolver(on: loop)
        var upstreams: [Upstream] = []
        for (number, upstream) in configuration.upstreams.enumerated() {
            upstreams.append(
                try Upstream(
                    number: UInt16(clamping: number + 1), upstream.share(among: configuration.workers),
                    tls: UpstreamTLS(upstream.tls, tls.upstreams[number]), board: board, resolver: resolver,
                    supplies: worker.supplies, seed: worker.random.next(), log: log,
                    on: loop))
        }
        try worker.start(upstreams: upstreams, listeners: contexts(upstreams))
        var version = board.version
        let wakeUp = try WakeUp(on: loop) { obey(worker, &version) }
        handle.attach(wakeUp.bell)
        version = -1
        obey(worker, &version)  // an order or a verdict may have come before the bell hung
        let watch = try watchResolution(of: worker, on: loop)
        Host.returnFreeMemory()  // making tables of the configuration took more than they keep
        loop.run()
        watch.cancel()
        handle.detach()
        worker.end()
    }

    /// - Parameter version: of the verdicts the worker knows.
    private func obey(_ worker: Worker, _ version: inout Int) {
        if version != board.version {
            version = board.version
            worker.verdictsChanged()
        }
        switch handle.currentOrder {
        case .run: break
        case .drain: worker.beginDrain()
        case .finish: worker.finish()
        case .abandon: worker.abandon()
        }
    }

    private func watchResolution(of worker: Worker, on loop: EventLoop) throws(EventLoopError) -> LoopTimer {
        let timer = try LoopTimer(on: loop, repeats: true) {
            if !handle.isResolved { handle.reportResolved(worker.isResolved) }
        }
        handle.reportResolved(worker.isResolved)
        if !worker.isResolved { timer.start(milliseconds: Self.resolutionPollMilliseconds) }
        return timer
    }

    /// The caps of the configuration are the process's; a worker sees about its share of the requests.
    private var sampler: Sampler {
        let sampling = configuration.tracing.sampling
        return Sampler(
            threshold: sampling.threshold, maxTracesPerSecond: rateShare(sampling.maxTracesPerSecond),
            debugPerSecond: rateShare(sampling.debugPerSecond))
    }

    /// What one worker may have of a number a second; 0 stays 0.
    private func rateShare(_ cap: Int) -> Int { cap == 0 ? 0 : max(1, cap / configuration.workers) }

    /// One worker's share of the memory for buffers.
    private var bufferPages: Int {
        max(Self.leastBufferPages, configuration.limits.bufferBytes / BufferPool.pageSize / configuration.workers)
    }

    /// Downstream connections that a process with so many descriptors can serve: each may need one upstream connection.
    static func connectionCapacity(_ configuration: Configuration, descriptorLimit: Int) -> Int {
        max(0, (descriptorLimit - reservedDescriptors(configuration)) / 2)
    }

    /// Descriptors kept for listeners, the reporter, the admin listener and the log; and for health checks.
    private static func reservedDescriptors(_ configuration: Configuration) -> Int {
        64 + (configuration.upstreams.contains { $0.healthCheck != nil } ? HealthChecker.probeLimit : 0)
    }

    private var connectionLimit: Int {
        let capacity = Self.connectionCapacity(configuration, descriptorLimit: descriptorLimit)
        let possible = max(16, capacity / configuration.workers)
        let wanted = configuration.limits.connections
        return wanted == 0 ? possible : min(possible, share(wanted))
    }

    /// What one worker may have of a limit on all connections. Rounded up: no limit may come to none at all.
    private func share(_ limit: Int) -> Int { (limit + configuration.workers - 1) / configuration.workers }

    private func contexts(_ upstreams: [Upstream]) throws(EventLoopError) -> [(SharedDescriptor, ListenerContext)] {
        let listeners = listeners.withLock { held in
            defer { held = [] }
            return held
        }
        var firstRoute = 1
        var contexts: [(SharedDescriptor, ListenerContext)] = []
        for (number, listener) in configuration.listeners.enumerated() {
            let routes = RouteContexts(listener.routes, upstreams: upstreams, configuration)
            let context = ListenerContext(
                number: UInt16(clamping: number), listener, tls: tls.listeners[number], routes: routes,
                firstRoute: firstRoute,
                connectionLimit: listener.maximumConnections == 0 ? Int.max : share(listener.maximumConnections),
                wishesPerSecond: rateShare(listener.outsiderSampledPerSecond), configuration)
            contexts.append((listeners[number], context))
            firstRoute += routes.count
        }
        return contexts
    }
}
