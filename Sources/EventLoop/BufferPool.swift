// SPDX-License-Identifier: Apache-2.0
import CSystem

/// One worker's supply of equal blocks of memory for ``Buffer``. Only the blocks in use are
/// counted against the bound; a few spare ones are kept warm, the rest goes back to the kernel.
///
/// The kernel gives a block its pages as they are written to, so memory is counted in pages: one for
/// each block, and more as its buffer fills.
@safe
public final class BufferPool {
    /// Bytes of each block: the largest head, and what one `recv` takes at most.
    public static let blockSize = 65_536
    /// Bytes of a page.
    public static let pageSize = 4096
    /// Spare blocks that are kept in any case.
    private static let fewSpares = 128
    /// Above so many, only those are kept that hold little memory, and as many as ``keepSpares(_:)`` asks for.
    private static let mostSpares = 2048
    private static let littlePages = 2
    /// Blocks begin at different places of their first page: beginnings a power of two apart would share the few places
    /// of a cache that such addresses have.
    private static let colours = 16
    private static let colourSize = 256
    private var nextColour = 0

    /// The first ``spareCount`` of room for ``mostSpares``.
    private let spares: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>>
    private var spareCount = 0
    private var wantedSpares = 0
    private let limit: Int
    private let pageLimit: Int
    private let tightMark: Int
    /// Beyond the first of each block in use.
    private var furtherPages = 0
    /// Blocks handed out and not yet given back.
    public private(set) var inUse = 0
    /// How often a block was refused because the bound was reached.
    public private(set) var refusedCount = 0

    /// Memory that the blocks in use have touched, in pages of ``pageSize``.
    public var pagesInUse: Int { inUse + furtherPages }
    /// Nine tenths of the pages are in use: reads take no more than they have to.
    var isTight: Bool { pagesInUse >= tightMark }

    /// - Parameters:
    ///   - limit: the most blocks that may be in use at once.
    ///   - pages: no block is given out while so many pages are in use. Blocks that are out still fill.
    public init(limit: Int, pages: Int = .max) {
        self.limit = limit
        pageLimit = pages
        tightMark = pages == .max ? .max : pages * 9 / 10
        unsafe spares = .allocate(capacity: Self.mostSpares)
    }

    /// A block of ``blockSize`` bytes of any content, or `nil` when the bound is reached.
    func take() -> UnsafeMutablePointer<UInt8>? {
        guard inUse < limit, pagesInUse < pageLimit else {
            refusedCount += 1
            return nil
        }
        if spareCount > 0 {
            spareCount -= 1
            inUse += 1
            return unsafe spares[spareCount]
        }
        guard let block = unsafe map() else {
            refusedCount += 1
            return nil
        }
        inUse += 1
        return unsafe block
    }

    private func map() -> UnsafeMutablePointer<UInt8>? {
        guard let memory = unsafe sys_map(Self.blockSize + Self.pageSize) else { return nil }
        nextColour = (nextColour + 1) % Self.colours
        return unsafe memory.assumingMemoryBound(to: UInt8.self) + nextColour * Self.colourSize
    }

    private func unmap(_ block: UnsafeMutablePointer<UInt8>) {
        let offset = UInt(bitPattern: block) % UInt(Self.pageSize)
        unsafe sys_unmap(block - Int(offset), Self.blockSize + Self.pageSize)
    }

    /// A user that takes and gives many blocks at once has come, or has left: a negative count.
    public func keepSpares(_ count: Int) { wantedSpares += count }

    /// More of a block in use has been written to.
    func touch(furtherPages count: Int) { furtherPages += count }

    /// - Parameter pages: of the block, that were written to.
    func give(_ block: UnsafeMutablePointer<UInt8>, pages: Int = 1) {
        inUse -= 1
        furtherPages -= pages - 1
        let most = pages > Self.littlePages ? Self.fewSpares : min(Self.fewSpares + wantedSpares, Self.mostSpares)
        if spareCount < most {
            unsafe spares[spareCount] = block
            spareCount += 1
        } else {
            unsafe unmap(block)
        }
    }

    deinit {
        for index in 0..<spareCount { unsafe unmap(spares[index]) }
        unsafe spares.deallocate()
    }
}
