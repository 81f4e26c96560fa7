// SPDX-License-Identifier: Apache-2.0
import CLibevent

/// One libevent registration that calls one closure: signals, wake-ups, timers, listeners.
/// For things that happen rarely; connections are ``Socket``s.
@safe
final class EventSource {
    private var registration: UnsafeMutablePointer<event>?
    /// Freeing the registration needs the base.
    private let loop: EventLoop?
    private let action: () -> Void

    /// - Parameters:
    ///   - descriptor: a file descriptor, a signal number, or -1 for a timer.
    ///   - what: libevent's `EV_` bits.
    ///   - retainsLoop: false for what the loop itself owns.
    init(
        _ descriptor: CInt, _ what: CInt, on loop: EventLoop, retainsLoop: Bool = true, action: @escaping () -> Void
    ) throws(EventLoopError) {
        self.loop = retainsLoop ? loop : nil
        self.action = action
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        guard let event = unsafe event_new(loop.base, descriptor, Int16(what), sourceReady, context) else {
            throw .outOfMemory
        }
        unsafe registration = event
    }

    func fire() { action() }

    /// Starts to listen; for a timer, with its interval.
    func enable(afterMilliseconds interval: Int? = nil) {
        guard let registration = unsafe registration else { return }
        guard let interval else {
            _ = unsafe event_add(registration, nil)
            return
        }
        var time = timeval(tv_sec: interval / 1000, tv_usec: interval % 1000 * 1000)
        _ = unsafe event_add(registration, &time)
    }

    func disable() {
        if let registration = unsafe registration { _ = unsafe event_del(registration) }
    }

    deinit {
        if let registration = unsafe registration { unsafe event_free(registration) }
    }
}
