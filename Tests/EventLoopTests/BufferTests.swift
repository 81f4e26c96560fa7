// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import EventLoop

@Suite("Receive buffers and their pool")
struct BufferTests {
    private func text(_ span: Span<UInt8>) -> String {
        var bytes: [UInt8] = []
        for index in 0..<span.count { bytes.append(span[index]) }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("An idle buffer holds no memory, and a released one gives it back")
    func idle() {
        let pool = BufferPool(limit: 2)
        var buffer = Buffer(pool: pool)
        #expect(pool.inUse == 0)
        #expect(buffer.readable.count == 0)
        #expect(buffer.append(copying: Array("abc".utf8).span) == 3)
        #expect(pool.inUse == 1)
        buffer.releaseIfEmpty()
        #expect(pool.inUse == 1, "it holds bytes")
        buffer.consume(3)
        buffer.releaseIfEmpty()
        #expect(pool.inUse == 0)
    }

    @Test("The bound refuses a block and counts it; one given back is usable again")
    func bound() {
        let pool = BufferPool(limit: 1)
        var first = Buffer(pool: pool)
        var second = Buffer(pool: pool)
        let byte = Array("x".utf8)
        #expect(first.append(copying: byte.span) == 1)
        #expect(second.append(copying: byte.span) == 0)
        #expect(pool.refusedCount == 1)
        #expect(second.append { $0.append(1) } == nil)
        #expect(pool.refusedCount == 2)
        first.release()
        #expect(second.append(copying: byte.span) == 1)
        #expect(pool.inUse == 1)
    }

    @Test("A buffer that ends gives its block back")
    func end() {
        let pool = BufferPool(limit: 1)
        do {
            var buffer = Buffer(pool: pool)
            _ = buffer.append(copying: Array("x".utf8).span)
            #expect(pool.inUse == 1)
        }
        #expect(pool.inUse == 0)
    }

    @Test("More blocks than are kept warm go back to the kernel and come again")
    func manyBlocks() {
        let pool = BufferPool(limit: 300)
        var blocks: [UnsafeMutablePointer<UInt8>] = []
        for _ in 0..<2 {
            while let block = pool.take() {
                block[0] = 1
                block[BufferPool.blockSize - 1] = 1
                blocks.append(block)
            }
            #expect(blocks.count == 300)
            #expect(Set(blocks).count == 300)
            for block in blocks { pool.give(block) }
            blocks = []
        }
        #expect(pool.inUse == 0)
    }

    @Test("What was appended is read in order, across consuming and compacting")
    func order() {
        let pool = BufferPool(limit: 1)
        var buffer = Buffer(pool: pool)
        _ = buffer.append(copying: Array("hello world".utf8).span)
        buffer.consume(6)
        #expect(text(buffer.readable) == "world")
        let before = buffer.freeCount
        buffer.compact()
        #expect(buffer.freeCount == before + 6)
        #expect(text(buffer.readable) == "world")
        let result: Int? = buffer.append { out in
            out.append(UInt8(ascii: "!"))
            return 5
        }
        #expect(result == 5)
        #expect(text(buffer.readable) == "world!")
        buffer.consume(100)
        #expect(buffer.isEmpty == true)
        #expect(buffer.freeCount == BufferPool.blockSize)
    }

    @Test("A full buffer takes nothing, and says so to a read")
    func full() {
        let pool = BufferPool(limit: 1)
        var buffer = Buffer(pool: pool)
        let much = [UInt8](repeating: 65, count: BufferPool.blockSize + 10)
        #expect(buffer.append(copying: much.span) == BufferPool.blockSize)
        #expect(buffer.isFull == true)
        #expect(buffer.fill { _ in .bytes(1) } == .full)
        buffer.consume(1)
        #expect(buffer.isFull == false)
        #expect(buffer.fill { .bytes($0.count) } == .bytes(1), "it makes room by itself")
        #expect(buffer.isFull == true)
    }

    @Test("Memory is counted in the pages a buffer has touched, until it gives its block back")
    func pages() {
        let pool = BufferPool(limit: 9, pages: 9)
        var buffer = Buffer(pool: pool)
        #expect(pool.pagesInUse == 0)
        _ = buffer.append(copying: [UInt8](repeating: 1, count: 4096).span)
        #expect(pool.pagesInUse == 1)
        _ = buffer.append { $0.append(1) }
        #expect(pool.pagesInUse == 2)
        #expect(buffer.fill { $0.count > 20_000 ? .bytes(20_000) : .full } == .bytes(20_000))
        #expect(pool.pagesInUse == 6)
        buffer.consume(30_000)
        _ = buffer.append(copying: [UInt8](repeating: 1, count: 100).span)
        #expect(pool.pagesInUse == 6, "the pages stay touched")
        buffer.release()
        #expect(pool.pagesInUse == 0)
        _ = buffer.append(copying: [UInt8](repeating: 1, count: 100).span)
        #expect(pool.pagesInUse == 1)
        do {
            var other = Buffer(pool: pool)
            _ = other.append(copying: [UInt8](repeating: 1, count: 5000).span)
            #expect(pool.pagesInUse == 3)
        }
        #expect(pool.pagesInUse == 1)
    }

    @Test(
        "No block is given out beyond the bound in pages; from nine tenths of it on a read takes one page more at most")
    func tight() {
        let pool = BufferPool(limit: 20, pages: 20)
        var first = Buffer(pool: pool)
        _ = first.append(copying: [UInt8](repeating: 1, count: 17 * 4096 - 4100).span)
        var second = Buffer(pool: pool)
        #expect(second.fill { .bytes($0.count) } == .bytes(65_536), "16 pages: there is room")
        #expect(pool.pagesInUse == 32)
        var third = Buffer(pool: pool)
        #expect(third.fill { .bytes($0.count) } == .full)
        #expect(pool.refusedCount == 1)
        second.consume(65_530)
        #expect(second.fill { .bytes($0.count) } == .bytes(4090), "to the end of its first page")
        #expect(second.fill { .bytes($0.count) } == .bytes(4096))
        second.release()
        #expect(third.fill { .bytes($0.count) } == .bytes(65_536))
    }
}
