// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import HTTP2
import Propagation

@testable import PropagatingProxy

extension Stage {
    /// One listener for each way to choose and rewrite a request.
    static let example = """
        listeners:
          - { address: "127.0.0.1:0", via: true, routes: [ { upstream: a } ] }
          - { address: "127.0.0.1:0", forwarded_headers: overwrite, routes: [ { rewrite: { path: /new }, upstream: a } ] }
          - address: "127.0.0.1:0"
            forwarded_headers: "off"
            trust: ids
            routes: [ { match: { prefix: / }, rewrite: { prefix: /longer/, host: new.example }, upstream: a } ]
          - address: "127.0.0.1:0"
            trust: none
            trusted_cidrs: [ "10.0.0.0/8" ]
            routes:
              - { match: { host: "*.test", path: /c }, upstream: b }
              - { match: { prefix: /c, headers: [ { name: x-a, prefix: b }, { name: te, present: true } ] }, upstream: a }
              - { match: { regex: "/([a-z]|%2f)+/.*", methods: [ GET, POST ] }, rewrite: { path: /n, host: h }, upstream: a }
              - { match: { host: a.test, prefix: /a }, upstream: b }
              - { match: { prefix: / }, upstream: b }
        upstreams:
          a: { endpoints: [ "unix:/a" ], balance: { hash: { cookie: sid } } }
          b: { endpoints: [ "unix:/b" ], host: rewrite, balance: { hash: { header: x-a } } }
        tracing: { propagation: { inject: [ b3multi, tracecontext ] } }
        """

    /// What `Exchange` writes to its upstream for a head just parsed from the front of `input`.
    func upstreamHead(
        _ head: RequestHead, _ input: borrowing Buffer, _ index: Int, toStream: Bool = false
    ) -> [UInt8] {
        let listener = listeners[index]
        let bytes = input.readable
        let route = listener.route(for: head, in: input, fields: worker.fields)?.context.object ?? routes[index][0]
        _ = route.stickyKey?.hash(bytes, fields: worker.fields, peer: downstreams[index].peerEndpoint)
        let facts = RequestFacts(
            bytes, fields: &worker.fields, from: downstreams[index], listener: listener, worker: worker)
        let decision = worker.decide(
            facts.extracted, rule: route.sampling, method: head.method, path: bytes.extracting(head.path.range),
            listener: listener, isTrusted: downstreams[index].isTrusted, nowMicroseconds: 0)
        let trace = decision.hop.attempt(random: &worker.random)
        // As much room as `Exchange` makes sure of: what does not fit would be left out.
        let room =
            Int(head.length) + RequestWriter.addedByteCount + route.addedByteCount
            + (worker.traceState.isEmpty ? 0 : TraceState.maximumByteCount)
        return [UInt8](capacity: room) { out in
            var lines = SentLines()
            RequestWriter.write(
                bytes, head: head, fields: worker.fields, route: route, downstream: downstreams[index],
                toStream: toStream,
                listener: listener, trace: trace, requestID: facts.mintedRequestID, traceState: worker.traceState,
                lines: &lines, into: &out)
            if toStream { note(lines, of: out) }
        }
    }
}

extension Stage {
    /// What `Exchange` writes to its downstream for a head just parsed from the front of `input`.
    func downstreamHead(
        _ head: ResponseHead, _ input: borrowing Buffer, _ changes: ResponseWriter.Changes
    ) -> [UInt8] {
        let bytes = input.readable
        _ = [UInt8](capacity: Int(head.length) + ResponseWriter.addedByteCount) { out in
            var lines = SentLines()
            ResponseWriter.write(
                bytes, head: head, fields: worker.fields, addsVia: changes.addsVia, lines: &lines, toStream: &out)
            note(lines, of: out)
        }
        return [UInt8](capacity: Int(head.length) + ResponseWriter.addedByteCount) { out in
            if ResponseWriter.canPassOn(head, changes) { return out.write(bytes.extracting(first: Int(head.length))) }
            ResponseWriter.write(bytes, head: head, fields: worker.fields, changes: changes, into: &out)
        }
    }

    /// What a stream would be told of the lines has to be what they are.
    private func note(_ lines: borrowing SentLines, of head: borrowing OutputSpan<UInt8>) {
        var noted = HeadLines()
        for index in 0..<lines.count {
            guard let line = lines[index] else { break }
            noted.append(
                line.kind, name: Int(line.nameStart), count: Int(line.nameCount), value: Int(line.valueStart),
                count: Int(line.valueCount))
        }
        noted.finish(headCount: head.count)
        if !LineLaw.agrees(head.span, noted) { linesAgree = false }
    }
}
