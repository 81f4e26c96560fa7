// SPDX-License-Identifier: Apache-2.0
import CLibevent
import CSystem
import Glibc

/// The far end of a ``WakeUp``: any thread may ring it.
public struct Bell: Sendable {
    /// Shared, so that a late ring is lost and does not reach a stranger's descriptor.
    fileprivate let shared: SharedDescriptor

    /// Makes the loop call its wake-up closure soon. Rings that come together are answered once.
    public func ring() {
        var one: UInt64 = 1
        _ = unsafe write(shared.descriptor.rawValue, &one, 8)
    }
}

/// Lets other threads call a loop: an `eventfd` the loop reads.
public final class WakeUp {
    private let shared: SharedDescriptor
    private var source: EventSource?

    /// - Parameter action: runs on the loop's thread.
    public init(on loop: EventLoop, action: @escaping () -> Void) throws(EventLoopError) {
        let number = sys_eventfd()
        guard number >= 0 else { throw .system(call: "eventfd", errno: errno) }
        shared = SharedDescriptor(Descriptor(owning: number))
        source = try EventSource(number, EV_READ | EV_PERSIST, on: loop) {
            var count: UInt64 = 0
            _ = unsafe read(number, &count, 8)
            action()
        }
        source?.enable()
    }

    /// Rings after the end of this wake-up are lost.
    public var bell: Bell { Bell(shared: shared) }

    deinit { source = nil }  // leaves the loop before the descriptor may close
}
