// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import Propagation
import SpanEmitter

/// Everything one worker's thread needs to build its worker: plain values and thread-safe objects.
struct WorkerPlan: Sendable {
    let configuration: Configuration
    /// One per listener of the configuration, in order.
    let listeners: [SharedDescriptor]
    let index: Int
    let handle: WorkerHandle
    let metrics: WorkerMetrics
    let ring: SpanRing
    let wakeReporter: Bell
    /// Open descriptors this process may have.
    let descriptorLimit: Int
    let log: Log

    private static let resolutionPollMilliseconds = 20
    /// Descriptors kept for listeners, the reporter, the admin listener and the log.
    private static let reservedDescriptors = 64

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
            loop: loop, bufferLimit: 16384,
            connectionLimit: connectionLimit, sampler: Sampler(threshold: .always, maxTracesPerSecond: 0, debugPerSecond: 10),
            metrics: metrics, ring: ring, wakeReporter: wakeReporter, log: log)
        let resolver = try Resolver(on: loop)
        var upstreams: [Upstream] = []
        for (number, upstream) in configuration.upstreams.enumerated() {
            upstreams.append(
                try Upstream(
                    number: UInt16(clamping: number + 1), endpoints: [upstream.endpoint], settings: UpstreamSettings(), metrics: metrics, resolver: resolver, buffers: worker.buffers,
                    log: log, on: loop))
        }
        try worker.start(upstreams: upstreams, listeners: contexts(upstreams))
        let wakeUp = try WakeUp(on: loop) { obey(worker) }
        handle.attach(wakeUp.bell)
        obey(worker)  // an order may have come before the bell hung
        let watch = try watchResolution(of: worker, on: loop)
        loop.run()
        watch.cancel()
        handle.detach()
    }

    private func obey(_ worker: Worker) {
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

    /// Each downstream connection may need one upstream connection.
    private var connectionLimit: Int {
        max(16, (descriptorLimit - Self.reservedDescriptors) / 2 / max(1, configuration.workers))
    }

    private func contexts(_ upstreams: [Upstream]) throws(EventLoopError) -> [(SharedDescriptor, ListenerContext)] {
        var routeCount = 0
        var contexts: [(SharedDescriptor, ListenerContext)] = []
        routeCount += 1
        for (number, _) in configuration.listeners.enumerated() {
            let route = RouteContext(number: 1, upstream: upstreams[0], sampling: .inherit, rewrite: .none, hostReplacement: [], upstreamAuthority: Array("up".utf8), responseMilliseconds: nil, fixedReply: nil)
            contexts.append((listeners[number], ListenerContext(number: 0, routes: RouteTable(), contexts: [route], tracing: TracingContext(extract: FormatList([.b3Multi]), inject: FormatList([.b3Multi]), mode: .newChild, traceIDWidth: .full), trust: .all, timeouts: ClientTimeouts(), headLimits: HeadLimits(), forwarded: .append, addsVia: false, bodyLimit: 0)))
        }
        return contexts
    }
}
