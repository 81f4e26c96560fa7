// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Synchronization

/// What the whole process knows of one address of one upstream. Workers read it when they are told
/// of a change, not for each request.
final class EndpointRecord: Sendable {
    /// Index in the configuration.
    let upstream: Int
    let address: SocketAddress
    /// The name it was found by first, or its own text.
    let host: String
    private let passesChecks = Atomic<Bool>(true)
    private let ejected = Atomic<Bool>(false)
    private let active = Atomic<Int>(0)
    /// Attempts in a row, over all workers, that ended in a 5xx, a reset or a timeout.
    private let serverErrors = Atomic<Int>(0)
    private let connectFailures = Atomic<Int>(0)

    init(_ address: SocketAddress, host: String = "", upstream: Int) {
        self.address = address
        self.host = host
        self.upstream = upstream
    }

    var isHealthy: Bool { passesChecks.load(ordering: .relaxed) }
    var isEjected: Bool { ejected.load(ordering: .relaxed) }
    var isAvailable: Bool { isHealthy && !isEjected }
    /// Requests at this endpoint, as the workers last told.
    var activeCount: Int { max(0, active.load(ordering: .relaxed)) }

    func addActive(_ difference: Int) { active.wrappingAdd(difference, ordering: .relaxed) }

    // For the board, which tells the workers.

    func setHealthy(_ isHealthy: Bool) { passesChecks.store(isHealthy, ordering: .relaxed) }

    func setEjected(_ isEjected: Bool) {
        ejected.store(isEjected, ordering: .relaxed)
        serverErrors.store(0, ordering: .relaxed)
        connectFailures.store(0, ordering: .relaxed)
    }

    // MARK: Runs of failures

    /// One attempt has ended, on any worker.
    ///
    /// - Returns: why the endpoint should be ejected, if now it should. The run begins anew then, so that
    ///   an endpoint that may not be ejected asks again after as many failures, not at each.
    func note(_ outcome: AttemptOutcome, _ rule: Configuration.OutlierDetection) -> EjectionReason? {
        switch outcome {
        case .unanswered: return nil
        case .answered(let status) where status < 500:
            // Stored only where it changes something: else the workers would take this line of memory from each other.
            if serverErrors.load(ordering: .relaxed) != 0 { serverErrors.store(0, ordering: .relaxed) }
            endConnectFailures()
            return nil
        case .answered, .reset, .timedOut:
            endConnectFailures()
            return isReached(serverErrors, rule.consecutiveServerErrors) ? .serverErrors : nil
        case .connectFailed:
            return isReached(connectFailures, rule.consecutiveConnectFailures) ? .connectFailures : nil
        }
    }

    private func endConnectFailures() {
        if connectFailures.load(ordering: .relaxed) != 0 { connectFailures.store(0, ordering: .relaxed) }
    }

    /// - Parameter limit: 0 is never reached.
    private func isReached(_ run: borrowing Atomic<Int>, _ limit: Int) -> Bool {
        guard limit > 0, !isEjected else { return false }
        guard run.wrappingAdd(1, ordering: .relaxed).newValue >= limit else { return false }
        run.store(0, ordering: .relaxed)
        return true
    }
}

/// Why an endpoint was ejected.
enum EjectionReason: Int, CaseIterable, Sendable {
    case serverErrors, connectFailures

    /// In logs and metrics.
    var label: String {
        switch self {
        case .serverErrors: "consecutive_5xx"
        case .connectFailures: "consecutive_connect_failures"
        }
    }
}
