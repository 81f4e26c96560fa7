// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// The kernel's random numbers, fetched a block at a time so that an id costs no system call.
public final class SystemRandom: RandomNumberGenerator {
    private static let blockCount = 256
    private var block = InlineArray<256, UInt64>(repeating: 0)
    private var used = blockCount

    public init() {}

    public func next() -> UInt64 {
        if used == Self.blockCount { refill() }
        defer { used += 1 }
        return block[used]
    }

    private func refill() {
        used = 0
        var filled = false
        unsafe withUnsafeMutableBytes(of: &block) { bytes in
            // 2 KiB from an initialised kernel pool comes whole and without blocking.
            while !filled {
                let count = unsafe getrandom(bytes.baseAddress, bytes.count, 0)
                if count == bytes.count { filled = true } else if count < 0, errno != EINTR { break }
            }
        }
        guard !filled else { return }
        // No getrandom (a kernel before 3.17): the standard library's source works everywhere.
        var fallback = SystemRandomNumberGenerator()
        for index in 0..<Self.blockCount { block[index] = fallback.next() }
    }
}
