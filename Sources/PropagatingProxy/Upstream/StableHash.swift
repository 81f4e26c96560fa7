// SPDX-License-Identifier: Apache-2.0

/// A 64-bit hash that is the same in every worker, process and build, so that all of them tie a value to the same
/// endpoint: FNV-1a, its bits mixed in the end. No defence against chosen values: whoever chooses one, chooses the
/// endpoint its own requests go to.
struct StableHash: BitwiseCopyable {
    private var state: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ byte: UInt8) { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }

    mutating func add(_ bytes: Span<UInt8>) {
        for index in bytes.indices { add(bytes[index]) }
    }

    /// Never 0.
    var value: UInt64 { max(1, Self.mix(state)) }

    /// Spreads a number over all bits; one to one.
    static func mix(_ number: UInt64) -> UInt64 {
        var bits = number
        bits = (bits ^ (bits >> 31)) &* 0x9E37_79B9_7F4A_7C15
        bits = (bits ^ (bits >> 29)) &* 0xD1B5_4A32_D192_ED03
        return bits ^ (bits >> 32)
    }
}
