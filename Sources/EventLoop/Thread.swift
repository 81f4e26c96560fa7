// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// An operating system thread that runs one closure.
@safe
public struct Thread: Sendable {
    private let handle: pthread_t

    /// - Parameters:
    ///   - name: shown by `top -H`; cut at 15 bytes.
    ///   - body: runs on the new thread.
    public init(name: String, _ body: @escaping @Sendable () -> Void) throws(EventLoopError) {
        var handle = pthread_t()
        let box = unsafe Unmanaged.passRetained(Box(name: String(name.prefix(15)), body: body)).toOpaque()
        let status = unsafe pthread_create(&handle, nil, { unsafe Thread.runBox($0) }, box)
        guard status == 0 else {
            unsafe Unmanaged<Box>.fromOpaque(box).release()
            throw .system(call: "pthread_create", errno: status)
        }
        self.handle = handle
    }

    /// Waits for the closure to return. Call once.
    public func join() { _ = pthread_join(handle, nil) }

    private final class Box {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    private static func runBox(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let context = unsafe context else { return nil }
        let box = unsafe Unmanaged<Box>.fromOpaque(context).takeRetainedValue()
        _ = unsafe pthread_setname_np(pthread_self(), box.name)
        box.body()
        return nil
    }
}
