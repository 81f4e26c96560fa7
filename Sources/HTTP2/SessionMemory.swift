// SPDX-License-Identifier: Apache-2.0
import CNghttp2
import Glibc

/// One worker's memory for libnghttp2: some twenty pieces of a few sizes for each request, taken and given back in the
/// hundreds at once, which is what `malloc` is slow at. Pieces that come back are kept by size, up to a bound.
///
/// Not `Sendable`: it serves the sessions of one thread, which keep it alive.
@safe
public final class SessionMemory {
    /// Sizes are multiples of this, behind a header.
    private static let step = 1 << stepBits
    private static let stepBits = 6
    /// Larger pieces come from `malloc` and go back to it.
    private static let largest = (classCount - 1) * step
    private static let classCount = 18
    private static let headerSize = 16
    /// Bytes of pieces that wait to be used again.
    private static let keptLimit = 4 << 20

    /// By size: the first piece that waits, which begins with the address of the next.
    private let waiting: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    private var keptBytes = 0

    public init() {
        unsafe waiting = .allocate(capacity: Self.classCount)
        unsafe waiting.initialize(repeating: nil, count: Self.classCount)
    }

    deinit {
        for index in 0..<Self.classCount {
            var piece = unsafe waiting[index]  // bounded: one of each class
            while let here = unsafe piece {
                unsafe piece = here.load(as: UnsafeMutableRawPointer?.self)
                unsafe free(here - Self.headerSize)
            }
        }
        unsafe waiting.deallocate()
    }

    /// As libnghttp2 wants it; valid while this object lives.
    var functions: nghttp2_mem {
        unsafe nghttp2_mem(
            mem_user_data: Unmanaged.passUnretained(self).toOpaque(),
            malloc: { size, memory in unsafe withMemory(memory) { unsafe $0.take(size) } },
            free: { piece, memory in
                if let piece = unsafe piece { unsafe withMemory(memory) { unsafe $0.give(piece) } }
            },
            calloc: { count, size, memory in
                let (total, overflows) = count.multipliedReportingOverflow(by: size)
                guard !overflows, let piece = unsafe withMemory(memory, { unsafe $0.take(total) }) else { return nil }
                return unsafe memset(piece, 0, total)
            },
            realloc: { piece, size, memory in
                guard let piece = unsafe piece else { return unsafe withMemory(memory) { unsafe $0.take(size) } }
                return unsafe withMemory(memory) { unsafe $0.resize(piece, size) }
            })
    }

    // bounded: the class is below the count, as compared
    @inline(__always)
    private func take(_ size: Int) -> UnsafeMutableRawPointer? {
        guard size >= 0, size <= Self.largest else { return unsafe allocate(size, class: Self.classCount) }
        let index = (size &+ Self.step &- 1) >> Self.stepBits
        guard let piece = unsafe waiting[index] else { return unsafe allocate(index * Self.step, class: index) }
        unsafe waiting[index] = unsafe piece.load(as: UnsafeMutableRawPointer?.self)
        keptBytes -= index * Self.step
        return unsafe piece
    }

    // bounded: the header holds what take(_:) wrote
    @inline(__always)
    private func give(_ piece: UnsafeMutableRawPointer) {
        let index = unsafe classOf(piece)
        guard index > 0, index < Self.classCount, keptBytes < Self.keptLimit else {
            return unsafe free(piece - Self.headerSize)
        }
        unsafe piece.storeBytes(of: waiting[index], as: UnsafeMutableRawPointer?.self)
        unsafe waiting[index] = unsafe piece
        keptBytes += index * Self.step
    }

    private func resize(_ piece: UnsafeMutableRawPointer, _ size: Int) -> UnsafeMutableRawPointer? {
        let index = unsafe classOf(piece)
        if index == Self.classCount {
            guard let moved = unsafe realloc(piece - Self.headerSize, size + Self.headerSize) else { return nil }
            return unsafe moved + Self.headerSize
        }
        let room = index * Self.step
        if size <= room { return unsafe piece }
        guard let larger = unsafe take(size) else { return nil }
        unsafe memcpy(larger, piece, room)
        unsafe give(piece)
        return unsafe larger
    }

    private func allocate(_ size: Int, class index: Int) -> UnsafeMutableRawPointer? {
        guard let memory = unsafe malloc(size + Self.headerSize) else { return nil }
        unsafe memory.storeBytes(of: index, as: Int.self)
        return unsafe memory + Self.headerSize
    }

    private func classOf(_ piece: UnsafeMutableRawPointer) -> Int {
        unsafe (piece - Self.headerSize).load(as: Int.self)
    }
}

/// The memory lives as long as its sessions, so nobody has to count a reference for a call.
@inline(__always)
private func withMemory<Result>(_ memory: UnsafeMutableRawPointer?, _ body: (SessionMemory) -> Result?) -> Result? {
    guard let memory = unsafe memory else { return nil }
    return unsafe Unmanaged<SessionMemory>.fromOpaque(memory)._withUnsafeGuaranteedRef { body($0) }
}
