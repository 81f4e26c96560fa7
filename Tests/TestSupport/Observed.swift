// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A value that one thread changes and another waits for, without polling.
public final class Observed<Value: Sendable>: @unchecked Sendable {
    private let condition = NSCondition()
    private var value: Value

    public init(_ value: Value) {
        self.value = value
    }

    public var current: Value {
        condition.withLock { value }
    }

    @discardableResult
    public func change<Result>(_ body: (inout Value) -> Result) -> Result {
        condition.withLock {
            defer { condition.broadcast() }
            return body(&value)
        }
    }

    /// Waits until the predicate holds, at most so long; whether it does.
    @discardableResult
    public func wait(seconds: Double = 30, until holds: (Value) -> Bool) -> Bool {
        let deadline = Date(timeIntervalSinceNow: seconds)
        return condition.withLock {
            while !holds(value) {
                if !condition.wait(until: deadline) { return holds(value) }
            }
            return true
        }
    }
}
