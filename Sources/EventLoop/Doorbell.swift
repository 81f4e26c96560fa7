// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// Lets a thread without a loop sleep until another one rings.
public final class Doorbell: Sendable {
    private let descriptor: Descriptor

    public init() throws(EventLoopError) {
        let number = sys_eventfd()
        guard number >= 0 else { throw .system(call: "eventfd", errno: errno) }
        descriptor = Descriptor(owning: number)
    }

    /// Ends the present or next ``wait(milliseconds:)``. Rings that come together count once.
    public func ring() {
        var one: UInt64 = 1
        _ = unsafe write(descriptor.rawValue, &one, 8)
    }

    /// Sleeps until somebody rings.
    ///
    /// - Parameter milliseconds: at most so long; `nil` means as long as it takes.
    /// - Returns: whether somebody rang.
    @discardableResult
    public func wait(milliseconds: Int? = nil) -> Bool {
        var entry = pollfd(fd: descriptor.rawValue, events: Int16(POLLIN), revents: 0)
        let limit = milliseconds.map { CInt(clamping: max(0, $0)) } ?? -1
        var status: CInt
        repeat { status = unsafe poll(&entry, 1, limit) } while status < 0 && errno == EINTR
        guard status > 0 else { return false }
        var count: UInt64 = 0
        _ = unsafe read(descriptor.rawValue, &count, 8)
        return true
    }
}
