// SPDX-License-Identifier: Apache-2.0
import CLibevent

/// Calls a closure on the loop's thread when the process gets a signal. One loop per process
/// may own signals: libevent keeps one handler.
public final class SignalSource {
    private let source: EventSource

    public init(_ number: CInt, on loop: EventLoop, action: @escaping () -> Void) throws(EventLoopError) {
        source = try EventSource(number, EV_SIGNAL | EV_PERSIST, on: loop, action: action)
        source.enable()
    }
}
