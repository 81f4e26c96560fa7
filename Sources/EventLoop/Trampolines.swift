// SPDX-License-Identifier: Apache-2.0
import CLibevent

// Every function libevent calls, but for DNS. A trampoline recovers the Swift object, converts
// the arguments and makes one call; it holds no logic, never throws, never traps on input.

/// `event_callback_fn`. `context` is the ``Socket`` that registered.
///
/// `takeUnretainedValue` keeps the socket alive while it runs, so it may drop its last owner from
/// inside its own callback: one retain per event, none per byte. One that is kept counts none.
func socketReady(_: CInt, _ what: Int16, _ context: UnsafeMutableRawPointer?) {
    guard let context = unsafe context else { return }
    let reference = unsafe Unmanaged<Socket>.fromOpaque(context)
    let readiness = Readiness(rawValue: what)
    if unsafe reference._withUnsafeGuaranteedRef(\.isKept) {
        unsafe reference._withUnsafeGuaranteedRef { $0.fired(readiness) }
    } else {
        unsafe reference.takeUnretainedValue().fired(readiness)
    }
}

/// `event_callback_fn`. `context` is the loop's ``TimerWheel``.
func wheelTurned(_: CInt, _: Int16, _ context: UnsafeMutableRawPointer?) {
    guard let context = unsafe context else { return }
    unsafe Unmanaged<TimerWheel>.fromOpaque(context).takeUnretainedValue().turn()
}

/// `event_callback_fn`. `context` is an ``EventSource``: an acceptor, a signal, a wake-up, a timer.
func sourceReady(_: CInt, _: Int16, _ context: UnsafeMutableRawPointer?) {
    guard let context = unsafe context else { return }
    unsafe Unmanaged<EventSource>.fromOpaque(context).takeUnretainedValue().fire()
}
