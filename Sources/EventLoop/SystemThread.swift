// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// An operating system thread that runs one closure.
@safe
public struct SystemThread: Sendable {
    private let handle: pthread_t

    /// - Parameters:
    ///   - name: shown by `top -H`; cut at 15 bytes.
    ///   - wakesSoon: asks the kernel for turns of 0.1 ms in place of its usual ones. The thread gets no more of the
    ///     processor, but sooner beside one that does not ask, as the reporter (Linux 6.12; older ones take no notice).
    ///   - body: runs on the new thread.
    public init(
        name: String, wakesSoon: Bool = false, _ body: @escaping @Sendable () -> Void
    ) throws(EventLoopError) {
        var handle = pthread_t()
        let box = Box(name: String(name.prefix(15)), wakesSoon: wakesSoon, body: body)
        let retained = unsafe Unmanaged.passRetained(box).toOpaque()
        let status = unsafe pthread_create(&handle, nil, { unsafe SystemThread.runBox($0) }, retained)
        guard status == 0 else {
            unsafe Unmanaged<Box>.fromOpaque(retained).release()
            throw .system(call: "pthread_create", errno: status)
        }
        self.handle = handle
    }

    /// Waits for the closure to return. Call once.
    public func join() { _ = pthread_join(handle, nil) }

    private final class Box {
        let name: String
        let wakesSoon: Bool
        let body: @Sendable () -> Void
        init(name: String, wakesSoon: Bool, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.wakesSoon = wakesSoon
            self.body = body
        }
    }

    private static func runBox(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let context = unsafe context else { return nil }
        let box = unsafe Unmanaged<Box>.fromOpaque(context).takeRetainedValue()
        _ = unsafe pthread_setname_np(pthread_self(), box.name)
        if box.wakesSoon { sys_ask_for_turns(100_000) }
        box.body()
        return nil
    }
}
