// SPDX-License-Identifier: Apache-2.0

/// A reference that counts nothing, for what is used at every event. Whoever keeps one sees to it that the object has
/// another owner for as long, and beyond every call that goes through it.
@safe
@frozen
public struct Lent<Object: AnyObject> {
    @usableFromInline let reference: Unmanaged<Object>

    @inlinable
    public init(_ object: Object) { unsafe reference = Unmanaged.passUnretained(object) }

    /// The object itself, counted as any other.
    @inlinable
    public var object: Object { unsafe reference.takeUnretainedValue() }

    /// Lends the object, uncounted.
    @inlinable
    @inline(__always)
    public func use<Result>(_ body: (Object) -> Result) -> Result {
        unsafe reference._withUnsafeGuaranteedRef { body($0) }
    }

    @inlinable
    public func isSame(as other: Lent?) -> Bool {
        guard let other else { return false }
        return unsafe reference.toOpaque() == other.reference.toOpaque()
    }
}
