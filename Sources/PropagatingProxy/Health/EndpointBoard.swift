// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Synchronization

/// Every endpoint the workers know, and the verdicts on it: one board for the process.
///
/// Workers join an address when they learn it and leave it when it is gone; the lock is taken then, at a verdict,
/// at an ejection and at a scrape, never for a request.
final class EndpointBoard: Sendable {
    private struct Member {
        let record: EndpointRecord
        /// Workers that know the address.
        var holders = 1
        var term = EjectionTerm()
    }

    private struct State {
        var members: [[SocketAddress: Member]]
        var counts: [EndpointFigures.Counts]
        var total = 0
        var untracked = 0
        var isPanicking: [Bool]
    }

    private let state: Locked<State>
    private let upstreams: [Configuration.Upstream]
    private let limit: Int
    private let log: Log
    private let changes = Atomic<Int>(0)
    private let tellWorkers: @Sendable () -> Void
    private let checker = Locked<Bell?>(nil)

    /// - Parameters:
    ///   - limit: addresses that are known at most; one more is used as if it were well, and counted.
    ///   - tellWorkers: called on any thread after ``version`` has changed.
    init(
        _ upstreams: [Configuration.Upstream], limit: Int = 10_000, log: Log,
        tellWorkers: @escaping @Sendable () -> Void
    ) {
        self.upstreams = upstreams
        self.limit = limit
        self.log = log
        self.tellWorkers = tellWorkers
        state = Locked(
            State(
                members: upstreams.map { _ in [:] }, counts: upstreams.map { _ in EndpointFigures.Counts() },
                isPanicking: upstreams.map { _ in false }))
    }

    /// Changes with each verdict.
    var version: Int { changes.load(ordering: .acquiring) }

    /// Rung whenever an address has come or gone.
    func attachChecker(_ bell: Bell) { checker.withLock { $0 = bell } }

    // MARK: Workers

    /// - Returns: `nil` beyond the limit. To be given back by ``leave(_:)`` otherwise.
    ///
    /// - Parameter host: the name the address was found by, or its own text.
    func join(_ address: SocketAddress, host: String = "", upstream: Int) -> EndpointRecord? {
        let (record, isNew) = state.withLock { state -> (EndpointRecord?, Bool) in
            guard state.members.indices.contains(upstream) else { return (nil, false) }
            if let known = state.members[upstream][address] {
                state.members[upstream][address]?.holders += 1
                return (known.record, false)
            }
            guard state.total < limit else {
                state.untracked += 1
                return (nil, false)
            }
            state.total += 1
            let record = EndpointRecord(address, host: host, upstream: upstream)
            state.members[upstream][address] = Member(record: record)
            return (record, true)
        }
        if isNew { checker.withLock { $0?.ring() } }
        return record
    }

    /// The record of an address the worker knows no more.
    func leave(_ record: EndpointRecord) {
        let isGone = state.withLock { state -> Bool in
            let (upstream, address) = (record.upstream, record.address)
            guard let member = state.members[upstream][address] else { return false }
            guard member.holders <= 1 else {
                state.members[upstream][address]?.holders -= 1
                return false
            }
            state.members[upstream][address] = nil
            state.total -= 1
            return true
        }
        if isGone { checker.withLock { $0?.ring() } }
    }

    // MARK: Verdicts

    /// The endpoint's checks have begun to pass or to fail.
    func judge(_ record: EndpointRecord, isHealthy: Bool, reason: String) {
        let alarm = state.withLock { state -> PanicChange? in
            record.setHealthy(isHealthy)
            state.counts[record.upstream].changes += 1
            return panicChange(record.upstream, &state)
        }
        if isHealthy {
            log.limited(.info, key: "endpoint is healthy again", nil, fields(record))
        } else {
            log.limited(.warn, key: "endpoint is unhealthy", nil, fields(record, reason))
        }
        publish(alarm, record.upstream)
    }

    func noteCheck(_ record: EndpointRecord, passed: Bool) {
        state.withLock { state in
            if passed {
                state.counts[record.upstream].checksPassed += 1
            } else {
                state.counts[record.upstream].checksFailed += 1
            }
        }
    }

    /// A probe was put off: too many were under way, or no descriptor was left.
    func noteDelayedCheck(_ record: EndpointRecord) {
        state.withLock { $0.counts[record.upstream].checksDelayed += 1 }
    }

    /// Ejects the endpoint, unless too many are already.
    func eject(_ record: EndpointRecord, _ reason: EjectionReason, at now: UInt64 = Clock.monotonicMicroseconds) {
        let upstream = record.upstream
        guard let rule = upstreams[upstream].outlierDetection else { return }
        var alarm: PanicChange?
        let isEjected = state.withLock { state -> Bool in
            let members = state.members[upstream]
            guard let member = members[record.address], !member.term.isRunning else { return false }
            guard rule.allows(ejected: members.values.count { $0.term.isRunning }, of: members.count) else {
                state.counts[upstream].ejectionsRefused += 1
                return false
            }
            state.members[upstream][record.address]?.term.begin(at: now, rule)
            state.counts[upstream][reason] += 1
            record.setEjected(true)
            alarm = panicChange(upstream, &state)
            return true
        }
        guard isEjected else { return }
        log.limited(.warn, key: "endpoint is ejected", nil, fields(record, reason.label))
        publish(alarm, upstream)
    }

    /// Lets endpoints back whose time is over. Called once in each interval of the upstream.
    func lookAtEjected(of upstream: Int, at now: UInt64 = Clock.monotonicMicroseconds) {
        var alarm: PanicChange?
        let back = state.withLock { state -> [EndpointRecord] in
            var back: [EndpointRecord] = []
            for (address, member) in state.members[upstream] {
                guard state.members[upstream][address]?.term.look(at: now) == true else { continue }
                member.record.setEjected(false)
                back.append(member.record)
            }
            if !back.isEmpty { alarm = panicChange(upstream, &state) }
            return back
        }
        for record in back { log.limited(.info, key: "endpoint is back from ejection", nil, fields(record)) }
        if !back.isEmpty { publish(alarm, upstream) }
    }

    private enum PanicChange { case began, ended }

    private func panicChange(_ upstream: Int, _ state: inout State) -> PanicChange? {
        let members = state.members[upstream].values
        let available = members.count { $0.record.isAvailable }
        let isPanicking = available * 100 < members.count * upstreams[upstream].panicPercent
        guard isPanicking != state.isPanicking[upstream] else { return nil }
        state.isPanicking[upstream] = isPanicking
        return isPanicking ? .began : .ended
    }

    private func publish(_ alarm: PanicChange?, _ upstream: Int) {
        changes.wrappingAdd(1, ordering: .acquiringAndReleasing)
        tellWorkers()
        let name = upstreams[upstream].name
        switch alarm {
        case .began: log.limited(.warn, key: "too few endpoints are available, all are used", nil, ["upstream": name])
        case .ended: log.limited(.info, key: "enough endpoints are available again", nil, ["upstream": name])
        case nil: break
        }
    }

    private func fields(_ record: EndpointRecord) -> LogFields {
        ["upstream": upstreams[record.upstream].name, "endpoint": record.address.description]
    }

    private func fields(_ record: EndpointRecord, _ reason: String) -> LogFields {
        ["upstream": upstreams[record.upstream].name, "endpoint": record.address.description, "reason": reason]
    }

    // MARK: Looks

    /// Endpoints of upstreams with health checks.
    func checked() -> [EndpointRecord] {
        state.withLock { state in
            upstreams.indices.filter { upstreams[$0].healthCheck != nil }.flatMap { upstream in
                state.members[upstream].values.map(\.record)
            }
        }
    }

    func figures() -> EndpointFigures {
        state.withLock { state in
            EndpointFigures(
                upstreams: upstreams.indices.map { upstream in
                    EndpointFigures.Upstream(
                        name: upstreams[upstream].name, counts: state.counts[upstream],
                        isPanicking: state.isPanicking[upstream],
                        endpoints: state.members[upstream].values.map { member in
                            EndpointFigures.Endpoint(member.record)
                        }.sorted { $0.address < $1.address })
                }, untracked: state.untracked)
        }
    }
}
