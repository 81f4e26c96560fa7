// SPDX-License-Identifier: Apache-2.0
import CSystem

/// One worker's supply of equal blocks of memory for ``Buffer``. Only the blocks in use are
/// counted against the bound; a few spare ones are kept warm, the rest goes back to the kernel.
@safe
public final class BufferPool {
    /// Bytes of each block: the largest head, and what one `recv` takes at most.
    public static let blockSize = 65_536
    private static let spareCount = 128

    private var spares: [UnsafeMutablePointer<UInt8>] = unsafe []
    private let limit: Int
    /// Blocks handed out and not yet given back.
    public private(set) var inUse = 0
    /// How often a block was refused because the bound was reached.
    public private(set) var refusedCount = 0

    /// - Parameter limit: the most blocks that may be in use at once.
    public init(limit: Int) {
        self.limit = limit
        unsafe spares.reserveCapacity(Self.spareCount)
    }

    /// A block of ``blockSize`` bytes of any content, or `nil` when the bound is reached.
    func take() -> UnsafeMutablePointer<UInt8>? {
        guard inUse < limit else {
            refusedCount += 1
            return nil
        }
        if let block = unsafe spares.popLast() {
            inUse += 1
            return unsafe block
        }
        guard let block = unsafe sys_map(Self.blockSize) else {
            refusedCount += 1
            return nil
        }
        inUse += 1
        return unsafe block.assumingMemoryBound(to: UInt8.self)
    }

    func give(_ block: UnsafeMutablePointer<UInt8>) {
        inUse -= 1
        if unsafe spares.count < Self.spareCount {
            unsafe spares.append(block)
        } else {
            unsafe sys_unmap(block, Self.blockSize)
        }
    }

    deinit {
        while let block = unsafe spares.popLast() { unsafe sys_unmap(block, Self.blockSize) }
    }
}
