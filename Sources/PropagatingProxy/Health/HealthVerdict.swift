// SPDX-License-Identifier: Apache-2.0

/// What the checks of one endpoint come to. It begins as healthy, so that a start waits for nobody; the first
/// check alone decides, later ones by their thresholds.
struct HealthVerdict: BitwiseCopyable {
    private(set) var isHealthy = true
    private var isFirst = true
    /// Checks in a row against the verdict.
    private var run = 0

    /// - Returns: whether the verdict has changed.
    mutating func note(passed: Bool, _ check: Configuration.HealthCheck) -> Bool {
        defer { isFirst = false }
        guard passed != isHealthy else {
            run = 0
            return false
        }
        run += 1
        guard isFirst || run >= (isHealthy ? check.unhealthyThreshold : check.healthyThreshold) else { return false }
        isHealthy = passed
        run = 0
        return true
    }
}
