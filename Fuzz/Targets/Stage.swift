// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Glibc
import HTTP1
import Propagation

@testable import PropagatingProxy
@testable import SpanEmitter

/// What stands around one exchange in the product, made from a configuration as a worker makes it. The loop never runs
/// and the one socket, which the writers ask for the caller's address, is never read.
final class Stage {
    let worker: Worker
    let listeners: [ListenerContext]
    let routes: [[RouteContext]]
    let downstreams: [DownstreamConnection]

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
                    number: UInt16(index + 1), upstream, board: board, resolver: resolver, buffers: worker.buffers,
                    seed: 1, log: log, on: loop))
        }
        routes = configuration.listeners.map { listener in
            listener.routes.map { RouteContext($0, number: 1, upstreams: upstreams, configuration) }
        }
        listeners = zip(configuration.listeners, routes).enumerated().map { index, made in
            ListenerContext(
                number: UInt16(index), made.0, routes: made.1, connectionLimit: 16,
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
}

extension Stage {
    /// One listener for each way to rewrite a request.
    static let example = """
        listeners:
          - { address: "127.0.0.1:0", via: true, routes: [ { upstream: a } ] }
          - { address: "127.0.0.1:0", forwarded_headers: overwrite, routes: [ { rewrite: { path: /new }, upstream: a } ] }
          - address: "127.0.0.1:0"
            forwarded_headers: "off"
            trust: ids
            routes: [ { match: { prefix: / }, rewrite: { prefix: /longer/, host: new.example }, upstream: a } ]
          - { address: "127.0.0.1:0", trust: none, routes: [ { upstream: b } ] }
        upstreams:
          a: { endpoints: [ "unix:/a" ] }
          b: { endpoints: [ "unix:/b" ], host: rewrite }
        tracing: { propagation: { inject: [ b3multi, tracecontext ] } }
        """

    /// What `Exchange` writes to its upstream for a head just parsed from the front of `input`.
    func upstreamHead(_ head: RequestHead, _ input: borrowing Buffer, _ index: Int) -> [UInt8] {
        let listener = listeners[index]
        let route = routes[index][0]
        let bytes = input.readable
        let facts = RequestFacts(bytes, fields: &worker.fields, from: downstreams[index], listener: listener, worker: worker)
        let decision = worker.decide(
            facts.extracted, rule: route.sampling, method: head.method, path: bytes.extracting(head.path.range),
            listener: listener, isTrusted: true, nowMicroseconds: 0)
        let trace = decision.hop.attempt(random: &worker.random)
        // As much room as `Exchange` makes sure of: what does not fit would be left out.
        let room =
            Int(head.length) + RequestWriter.addedByteCount + route.addedByteCount
            + (worker.traceState.isEmpty ? 0 : TraceState.maximumByteCount)
        return [UInt8](capacity: room) { out in
            RequestWriter.write(
                bytes, head: head, fields: worker.fields, route: route, downstream: downstreams[index],
                listener: listener, trace: trace, requestID: facts.mintedRequestID, traceState: worker.traceState,
                into: &out)
        }
    }
}

extension Stage {
    /// What `Exchange` writes to its downstream for a head just parsed from the front of `input`.
    func downstreamHead(
        _ head: ResponseHead, _ input: borrowing Buffer, _ changes: ResponseWriter.Changes
    ) -> [UInt8] {
        let bytes = input.readable
        return [UInt8](capacity: Int(head.length) + ResponseWriter.addedByteCount) { out in
            if ResponseWriter.canPassOn(head, changes) { return out.write(bytes.extracting(first: Int(head.length))) }
            ResponseWriter.write(bytes, head: head, fields: worker.fields, changes: changes, into: &out)
        }
    }
}
