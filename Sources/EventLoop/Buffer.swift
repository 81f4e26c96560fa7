// SPDX-License-Identifier: Apache-2.0

/// Bytes between the kernel and a parser: written at the tail, read at the head.
///
/// Holds a block of its pool only while it has something to hold, so an idle connection's buffer
/// costs three words. Capacity is ``BufferPool/blockSize``; it never grows.
@safe
public struct Buffer: ~Copyable {
    private var block: UnsafeMutablePointer<UInt8>?
    private var head = 0
    private var tail = 0
    /// Pages of the block that were written to, counted in the pool; meaningless without a block.
    private var touchedPages = 1
    private let pool: BufferPool

    /// An empty buffer without memory.
    public init(pool: BufferPool) {
        self.pool = pool
    }

    deinit {
        if let block = unsafe block { unsafe pool.give(block, pages: touchedPages) }
    }

    public var isEmpty: Bool { head == tail }
    /// Bytes received and not yet consumed.
    public var count: Int { tail - head }
    /// Bytes that can still be appended without ``compact()``.
    public var freeCount: Int { BufferPool.blockSize - tail }
    /// Whether no byte more fits, even after ``compact()``.
    public var isFull: Bool { tail - head == BufferPool.blockSize }

    /// The bytes received and not yet consumed.
    public var readable: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get {
            let bytes = unsafe UnsafeBufferPointer(start: block.map { unsafe $0 + head }, count: tail - head)
            let span = unsafe Span<UInt8>(_unsafeElements: bytes)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// Drops at most `count` bytes from the head; an emptied buffer starts again at its beginning.
    public mutating func consume(_ count: Int) {
        head = min(head + count, tail)
        if head == tail { (head, tail) = (0, 0) }
    }

    /// Gives the memory back; what it held is lost.
    public mutating func release() {
        (head, tail) = (0, 0)
        guard let held = unsafe block else { return }
        unsafe pool.give(held, pages: touchedPages)
        unsafe block = nil
    }

    /// Gives the memory back if nothing is held.
    public mutating func releaseIfEmpty() {
        if isEmpty { release() }
    }

    /// Moves the held bytes to the beginning, so that all free space is at the tail.
    public mutating func compact() {
        guard head > 0, let block = unsafe block else { return }
        unsafe block.update(from: block + head, count: tail - head)
        (head, tail) = (0, tail - head)
    }

    /// Takes memory if it has none; answers whether there is some.
    public mutating func reserve() -> Bool { unsafe backed() != nil }

    /// Lends the free space to `write`; the bytes it appends become readable.
    ///
    /// - Returns: `nil`, without a call, when the pool has no memory.
    public mutating func append<Result>(_ write: (inout OutputSpan<UInt8>) -> Result) -> Result? {
        guard let block = unsafe backed() else { return nil }
        let free = unsafe UnsafeMutableBufferPointer(start: block + tail, count: freeCount)
        var output = unsafe OutputSpan(buffer: free, initializedCount: 0)
        let result = write(&output)
        tail += unsafe output.finalize(for: free)
        noteTouched()
        return result
    }

    /// Appends as many of the bytes as fit; answers how many.
    public mutating func append(copying bytes: Span<UInt8>) -> Int {
        guard let block = unsafe backed() else { return 0 }
        let count = min(bytes.count, freeCount)
        unsafe bytes.withUnsafeBufferPointer { source in
            if let start = source.baseAddress, count > 0 {
                unsafe (block + tail).update(from: start, count: count)
            }
        }
        tail += count
        noteTouched()
        return count
    }

    /// Appends `name: value CRLF`; nothing without memory, or where they do not fit whole.
    ///
    /// - Returns: whether it was appended.
    public mutating func appendLine(_ name: Span<UInt8>, _ value: Span<UInt8>) -> Bool {
        let count = name.count + value.count + 4
        guard freeCount >= count, let block = unsafe backed() else { return false }
        let start = unsafe block + tail
        let afterName = unsafe start + name.count
        let end = unsafe afterName + 2 + value.count
        unsafe name.withUnsafeBufferPointer {
            if let name = $0.baseAddress { unsafe copySmall(from: name, to: start, count: $0.count) }
        }
        unsafe (afterName[0], afterName[1]) = (UInt8(ascii: ":"), UInt8(ascii: " "))
        unsafe value.withUnsafeBufferPointer {
            if let value = $0.baseAddress { unsafe copySmall(from: value, to: afterName + 2, count: $0.count) }
        }
        unsafe (end[0], end[1]) = (UInt8(ascii: "\r"), UInt8(ascii: "\n"))
        tail += count
        noteTouched()
        return true
    }

    /// Lends the free space to a read; its bytes become readable.
    mutating func fill(_ read: (UnsafeMutableBufferPointer<UInt8>) -> ReadOutcome) -> ReadOutcome {
        let isTight = pool.isTight
        if freeCount == 0 || isTight { compact() }
        guard freeCount > 0, let block = unsafe backed() else { return .full }
        let room = isTight ? min(freeCount, roomWhenTight) : freeCount
        let outcome = unsafe read(UnsafeMutableBufferPointer(start: block + tail, count: room))
        if case .bytes(let count) = outcome {
            tail += count
            noteTouched()
        }
        return outcome
    }

    /// To the end of the page, or of the next one if that is near.
    private var roomWhenTight: Int {
        let page = BufferPool.pageSize
        return page - tail % page + (page - tail % page < page / 4 ? page : 0)
    }

    private mutating func noteTouched() {
        if tail > touchedPages * BufferPool.pageSize { touchMore() }
    }

    @inline(never)
    private mutating func touchMore() {
        let pages = (tail + BufferPool.pageSize - 1) / BufferPool.pageSize
        pool.touch(furtherPages: pages - touchedPages)
        touchedPages = pages
    }

    private mutating func backed() -> UnsafeMutablePointer<UInt8>? {
        if let block = unsafe block { return unsafe block }
        unsafe block = pool.take()
        touchedPages = 1
        return unsafe block
    }
}
