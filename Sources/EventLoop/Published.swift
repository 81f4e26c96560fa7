// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A value that one thread replaces now and then and others use: they keep it, with its version, and ask for it again
/// only when the version has changed.
public final class Published<Value: Sendable>: Sendable {
    private let number = Atomic<Int>(0)
    private let value: Locked<Value>

    public init(_ value: Value) { self.value = Locked(value) }

    /// Grows with each ``publish(_:)``.
    public var version: Int { number.load(ordering: .acquiring) }

    public func publish(_ next: Value) {
        value.withLock { $0 = next }
        _ = number.add(1, ordering: .acquiringAndReleasing)
    }

    /// The value now, which may be newer than a version that was read before.
    public func current() -> Value { value.withLock { $0 } }
}
