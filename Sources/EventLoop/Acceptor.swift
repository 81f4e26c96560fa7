// SPDX-License-Identifier: Apache-2.0
import CLibevent
import CSystem
import Glibc

/// Accepts connections from one listening socket on one loop.
///
/// Out of descriptors (EMFILE, ENFILE) it gives up a spare one to accept and close the waiting
/// connection, so that the peer hears of it, and pauses 100 ms: the loop does not spin.
@safe
public final class Acceptor {
    /// How many connections one turn of the loop accepts, so that others get their turn.
    private static let turnLimit = 4
    /// How many turns the last call takes at most: more than the backlog holds.
    private static let lastTurnLimit = 2048
    private static let pauseMilliseconds = 100

    private let listener: SharedDescriptor
    private var readable: EventSource?
    private var pause: LoopTimer?
    private var spare: CInt = -1
    private let accepted: (consuming Descriptor, SocketAddress) -> Void
    /// Connections refused for want of descriptors.
    public private(set) var refusedCount = 0

    /// - Parameter accepted: gets each new connection and the peer's address.
    public init(
        _ listener: SharedDescriptor, on loop: EventLoop,
        accepted: @escaping (consuming Descriptor, SocketAddress) -> Void
    ) throws(EventLoopError) {
        self.listener = listener
        self.accepted = accepted
        spare = Self.openSpare()
        pause = try LoopTimer(on: loop) { [unowned self] in resume() }
        readable = try EventSource(listener.descriptor.rawValue, EV_READ | EV_PERSIST, on: loop) { [unowned self] in
            _ = acceptWaiting()
        }
        readable?.enable()
    }

    /// The kernel ignores new connections from now on; those whose handshake is under way are still accepted.
    /// A caller tries again after a second, and finds the port closed by then. Without effect on unix sockets.
    public func ignoreNew() {
        guard listener.address?.family != .unix else { return }
        _ = sys_ignore_new_connections(listener.descriptor.rawValue)
    }

    /// Accepts what waits, then stops: closing the listening socket would reset it.
    public func finish() {
        var turns = 0
        while turns < Self.lastTurnLimit, readable != nil, acceptWaiting() { turns += 1 }
        stop()
    }

    /// Stops accepting; the listening socket closes with its last reference.
    public func stop() {
        readable = nil
        pause = nil
    }

    private func resume() {
        if spare < 0 { spare = Self.openSpare() }
        readable?.enable()
    }

    /// - Returns: whether more may wait.
    private func acceptWaiting() -> Bool {
        for _ in 0..<Self.turnLimit {
            var address = SocketAddress()
            let number = unsafe address.fill { unsafe sys_accept(listener.descriptor.rawValue, $0, &$1) }
            if number >= 0 {
                accepted(Descriptor(owning: number), address)
                if readable == nil { return false }  // stopped by what it was told
                continue
            }
            switch errno {
            case EINTR, ECONNABORTED: continue
            case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                refuseOne()
                return false
            default: return false
            }
        }
        return true
    }

    private func refuseOne() {
        refusedCount += 1
        if spare >= 0 {
            _ = close(spare)
            let number = sys_accept(listener.descriptor.rawValue, nil, nil)
            if number >= 0 { _ = close(number) }
            spare = Self.openSpare()
        }
        readable?.disable()
        pause?.start(milliseconds: Self.pauseMilliseconds)
    }

    private static func openSpare() -> CInt { unsafe open("/dev/null", O_RDONLY | O_CLOEXEC) }

    deinit {
        stop()  // leaves the loop before the listening socket may close
        if spare >= 0 { _ = close(spare) }
    }
}
