// SPDX-License-Identifier: Apache-2.0
import Glibc

/// An open file descriptor with one owner; closing happens when the value ends.
public struct Descriptor: ~Copyable, Sendable {
    /// The kernel's number, for passing to system calls. Do not close it.
    public let rawValue: CInt

    /// Takes ownership of an open descriptor.
    public init(owning rawValue: CInt) {
        self.rawValue = rawValue
    }

    /// Gives the number away without closing it.
    public consuming func release() -> CInt {
        let rawValue = self.rawValue
        discard self
        return rawValue
    }

    /// A second descriptor of the same open file.
    public borrowing func duplicate() throws(EventLoopError) -> Descriptor {
        let number = fcntl(rawValue, F_DUPFD_CLOEXEC, 0)
        guard number >= 0 else { throw .system(call: "fcntl", errno: errno) }
        return Descriptor(owning: number)
    }

    deinit { _ = close(rawValue) }
}
