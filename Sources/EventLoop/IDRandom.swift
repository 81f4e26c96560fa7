// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// Random numbers for ids: xoshiro256**, seeded by the kernel, and again every 65,536 numbers.
///
/// Ids must be unlike all others, not unknown to those who see them; a generator of cryptography
/// costs some 1 % of a request. Not for keys, tickets or anything else that must not be guessed.
public struct IDRandom: RandomNumberGenerator {
    private static let numbersPerSeed = 65_536

    private var state: InlineArray<4, UInt64> = [0, 0, 0, 0]
    private var left = 0

    public init() {}

    /// - Parameter state: as if a seed had given it.
    init(state: InlineArray<4, UInt64>) {
        self.state = state
        left = Self.numbersPerSeed
    }

    public mutating func next() -> UInt64 {
        if left == 0 { seed() }
        left &-= 1
        let number = rotated(state[1] &* 5, by: 7) &* 9
        let shifted = state[1] << 17
        state[2] ^= state[0]
        state[3] ^= state[1]
        state[1] ^= state[2]
        state[0] ^= state[3]
        state[2] ^= shifted
        state[3] = rotated(state[3], by: 45)
        return number
    }

    private func rotated(_ value: UInt64, by count: UInt64) -> UInt64 { value << count | value >> (64 - count) }

    private mutating func seed() {
        left = Self.numbersPerSeed
        var filled = false
        unsafe withUnsafeMutableBytes(of: &state) { bytes in
            // So few bytes of an initialised kernel pool come whole and without blocking.
            while !filled {
                let count = unsafe getrandom(bytes.baseAddress, bytes.count, 0)
                if count == bytes.count { filled = true } else if count < 0, errno != EINTR { break }
            }
        }
        guard !filled else { return }
        // No getrandom (a kernel before 3.17): the standard library's source works everywhere.
        var fallback = SystemRandomNumberGenerator()
        for index in 0..<4 { state[index] = fallback.next() }
    }
}
