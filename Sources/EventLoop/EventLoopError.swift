// SPDX-License-Identifier: Apache-2.0

/// Why the kernel or libevent refused something.
public enum EventLoopError: Error, Equatable, Sendable {
    /// libevent could not allocate an event, an event base or a resolver.
    case outOfMemory
    /// A system call failed; `errno` is the value it left behind.
    case system(call: String, errno: CInt)

    /// One line for the log, such as `bind: Address already in use`.
    public var text: String {
        switch self {
        case .outOfMemory: "out of memory"
        case .system(let call, let errno): "\(call): \(errorText(errno))"
        }
    }
}
