// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Glibc
import TLS

/// Checks one endpoint again and again.
final class EndpointProbe {
    let record: EndpointRecord
    private let check: Configuration.HealthCheck
    private let request: [UInt8]
    /// `nil`: in the clear.
    private let tls: TLSDestination?
    private unowned let checker: HealthChecker
    private let loop: EventLoop
    /// Until the next probe, or until the present one has taken too long.
    private var timer: LoopTimer?
    private var connection: ProbeConnection?
    private var isWaiting = false
    private var verdict = HealthVerdict()

    init(
        _ record: EndpointRecord, _ check: Configuration.HealthCheck, request: [UInt8], tls: TLSDestination?,
        checker: HealthChecker, on loop: EventLoop
    ) throws(EventLoopError) {
        self.record = record
        self.check = check
        self.request = request
        self.tls = tls
        self.checker = checker
        self.loop = loop
        timer = try LoopTimer(on: loop) { [unowned self] in isWaiting ? timedOut() : probe() }
        // A start does not probe all endpoints at once, and soon enough each of them.
        timer?.start(milliseconds: Int.random(in: 0...min(1000, check.intervalMilliseconds / 10)))
    }

    /// No call comes after this.
    func stop() {
        timer?.cancel()
        timer = nil
        dropConnection()
    }

    private func probe() {
        dropConnection()
        guard checker.admitProbe() else { return delay() }
        switch Connecting.start(record.address) {
        case .inProgress(let descriptor): begin(descriptor, isConnecting: true)
        case .connected(let descriptor): begin(descriptor, isConnecting: false)
        case .failed(let error):
            checker.probeClosed()
            // Our own want says nothing about the endpoint.
            if [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL].contains(error) { return delay() }
            conclude(.failed(reason: errorText(error)))
        }
    }

    private func begin(_ descriptor: consuming Descriptor, isConnecting: Bool) {
        let checker = checker
        // An HTTP probe is in HTTP/1.1, whatever requests are in.
        let link = tls?.link(offering: check.kind == .http ? [.http1] : nil, buffers: checker.buffers)
        guard tls == nil || link != nil else {
            checker.probeClosed()
            return delay()
        }
        isWaiting = true
        connection = ProbeConnection(
            descriptor, isConnecting: isConnecting, tls: link, check, request: request, buffers: checker.buffers,
            on: loop,
            concluded: { [unowned self] in conclude($0) }, closed: { checker.probeClosed() })
        timer?.start(milliseconds: check.timeoutMilliseconds)
    }

    private func timedOut() {
        dropConnection()
        conclude(.failed(reason: "timed out"))
    }

    private func conclude(_ outcome: ProbeOutcome) {
        isWaiting = false
        let tenth = check.intervalMilliseconds / 10
        timer?.start(milliseconds: check.intervalMilliseconds + Int.random(in: -tenth...tenth))
        checker.board.noteCheck(record, passed: outcome == .passed)
        guard verdict.note(passed: outcome == .passed, check) else { return }
        let reason = if case .failed(let reason) = outcome { reason } else { "" }
        checker.board.judge(record, isHealthy: verdict.isHealthy, reason: reason)
    }

    /// Later, and not long, whatever the interval.
    private func delay() {
        checker.board.noteDelayedCheck(record)
        timer?.start(milliseconds: Int.random(in: 50...150))
    }

    private func dropConnection() {
        isWaiting = false
        connection?.abandon()
        connection = nil
    }
}
