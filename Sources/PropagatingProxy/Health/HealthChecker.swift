// SPDX-License-Identifier: Apache-2.0
import EventLoop
import TLS

/// Checks every endpoint of the upstreams that ask for it, once for the whole process, on the control thread: its
/// verdicts reach the workers through the ``EndpointBoard``.
final class HealthChecker {
    /// Probes under way at once, each with a descriptor; one more is put off.
    static let probeLimit = 256

    let board: EndpointBoard
    /// Two of each probe, and four of its TLS.
    let buffers = BufferPool(limit: 6 * probeLimit)
    private let upstreams: [Configuration.Upstream]
    private let tls: [UpstreamTLS?]
    private let loop: EventLoop
    private var wakeUp: WakeUp?
    private var probes: [ObjectIdentifier: EndpointProbe] = [:]
    private var probeCount = 0

    /// - Parameter tls: of each upstream that is spoken to so, in order.
    init(
        _ upstreams: [Configuration.Upstream], tls: [UpstreamTLS?] = [], board: EndpointBoard, on loop: EventLoop
    ) throws(EventLoopError) {
        self.upstreams = upstreams
        self.tls = tls
        self.board = board
        self.loop = loop
        let wakeUp = try WakeUp(on: loop) { [unowned self] in followBoard() }
        self.wakeUp = wakeUp
        board.attachChecker(wakeUp.bell)
        followBoard()
    }

    /// Ends every probe.
    func stop() {
        for probe in probes.values { probe.stop() }
        probes = [:]
        wakeUp = nil
    }

    /// Begins with addresses that are new and ends with those that are gone.
    private func followBoard() {
        let records = board.checked()
        let known = Set(records.map { ObjectIdentifier($0) })
        for (id, probe) in probes where !known.contains(id) {
            probe.stop()
            probes[id] = nil
        }
        for record in records where probes[ObjectIdentifier(record)] == nil {
            let upstream = upstreams[record.upstream]
            guard let check = upstream.healthCheck else { continue }
            probes[ObjectIdentifier(record)] = try? EndpointProbe(
                record, check, request: Self.request(check, upstream), tls: destination(record), checker: self,
                on: loop)
        }
    }

    private func destination(_ record: EndpointRecord) -> TLSDestination? {
        guard tls.indices.contains(record.upstream) else { return nil }
        return tls[record.upstream]?.destination(record.host)
    }

    /// Never traced: a mesh that sees `b3: 0` decides so too.
    static func request(_ check: Configuration.HealthCheck, _ upstream: Configuration.Upstream) -> [UInt8] {
        let host = check.host.isEmpty ? upstream.authority : check.host
        return Array("GET ".utf8) + check.path + Array(" HTTP/1.1\r\nHost: ".utf8) + host
            + Array(
                "\r\nUser-Agent: propagating-proxy-health/\(Version.text)\r\nb3: 0\r\nConnection: close\r\n\r\n".utf8)
    }

    /// Whether one more probe may begin; if so it counts until ``probeClosed()``.
    func admitProbe() -> Bool {
        guard probeCount < Self.probeLimit else { return false }
        probeCount += 1
        return true
    }

    func probeClosed() { probeCount -= 1 }
}
