// SPDX-License-Identifier: Apache-2.0
import CLibevent

/// Calls a closure on the loop's thread after a while, once or again and again.
public final class LoopTimer {
    private let source: EventSource

    /// - Parameter repeats: whether each firing arms it again.
    public init(on loop: EventLoop, repeats: Bool = false, action: @escaping () -> Void) throws(EventLoopError) {
        source = try EventSource(-1, repeats ? EV_PERSIST : 0, on: loop, action: action)
    }

    /// A timer that belongs to the loop itself, and so must not keep it alive.
    init(ownedBy loop: EventLoop, action: @escaping () -> Void) throws(EventLoopError) {
        source = try EventSource(-1, 0, on: loop, retainsLoop: false, action: action)
    }

    /// Starts or restarts it.
    public func start(milliseconds: Int) { source.enable(afterMilliseconds: milliseconds) }

    /// Stops it; starting again is allowed.
    public func cancel() { source.disable() }
}
