// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Glibc
import HTTP1
import Propagation
import SpanEmitter

@testable import PropagatingProxy

/// What stands around one exchange in the product, made from a configuration as a worker makes it. The loop never runs
/// and the one socket, which the writers ask for the caller's address, is never read.
final class Stage {
    let worker: Worker
    /// The lines noted of every head written so far are those of its text.
    var linesAgree = true
    let listeners: [ListenerContext]
    let routes: [[RouteContext]]
    let downstreams: [DownstreamConnection]
    private let upstreams: [Upstream]

    init(_ text: String) throws {
        let configuration = try ConfigurationLoader.load(text: Array(text.utf8), file: "stage").configuration
        let loop = try EventLoop()
        let wakeUp = try WakeUp(on: loop) {}
        let log = try Log(level: .error)
        let names = MetricNames(routes: [], upstreams: [], upstreamErrors: [], localReplies: [])
        worker = Worker(
            loop: loop, bufferPages: 4096, connectionLimit: 16,
            sampler: Sampler(threshold: configuration.tracing.sampling.threshold), metrics: WorkerMetrics(names),
            ring: SpanRing(), wakeReporter: wakeUp.bell, log: log)
        let resolver = try Resolver(on: loop)
        let board = EndpointBoard(configuration.upstreams, log: log) {}
        var upstreams: [Upstream] = []
        for (index, upstream) in configuration.upstreams.enumerated() {
            upstreams.append(
                try Upstream(
                    number: UInt16(index + 1), upstream, tls: nil, board: board, resolver: resolver,
                    supplies: SessionSupplies(buffers: worker.buffers),
                    seed: 1, log: log, on: loop))
        }
        self.upstreams = upstreams
        routes = configuration.listeners.map { [upstreams] listener in
            listener.routes.map { RouteContext($0.action, upstreams: upstreams, configuration) }
        }
        listeners = configuration.listeners.enumerated().map { index, listener in
            ListenerContext(
                number: UInt16(index), listener, tls: nil,
                routes: RouteContexts(listener.routes, upstreams: upstreams, configuration), firstRoute: 1,
                connectionLimit: 16,
                wishesPerSecond: 0, configuration)
        }
        let worker = worker
        downstreams = listeners.map { listener in
            DownstreamConnection(
                Descriptor(owning: socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)),
                peer: SocketAddress(literal: "192.0.2.7", port: 40_000) ?? SocketAddress(), listener: listener, slot: 0,
                worker: worker)
        }
    }

    deinit {
        worker.end()
        for upstream in upstreams { upstream.end() }
    }
}
