// SPDX-License-Identifier: Apache-2.0
import CLibevent
import CSystem
import Glibc

/// The far end of a ``WakeUp``: any thread may ring it.
public struct Bell: Sendable {
    fileprivate let descriptor: CInt

    /// Makes the loop call its wake-up closure soon. Rings that come together are answered once.
    public func ring() {
        var one: UInt64 = 1
        _ = unsafe write(descriptor, &one, 8)
    }
}

/// Lets other threads call a loop: an `eventfd` the loop reads.
public final class WakeUp {
    private let descriptor: Descriptor
    private let source: EventSource

    /// - Parameter action: runs on the loop's thread.
    public init(on loop: EventLoop, action: @escaping () -> Void) throws(EventLoopError) {
        let number = sys_eventfd()
        guard number >= 0 else { throw .system(call: "eventfd", errno: errno) }
        descriptor = Descriptor(owning: number)
        source = try EventSource(number, EV_READ | EV_PERSIST, on: loop) {
            var count: UInt64 = 0
            _ = unsafe read(number, &count, 8)
            action()
        }
        source.enable()
    }

    /// Must not ring after this wake-up has ended.
    public var bell: Bell { Bell(descriptor: descriptor.rawValue) }
}
