// SPDX-License-Identifier: Apache-2.0

/// The field lines of one message, as ranges into the receive buffer, in order of arrival.
///
/// A table lives inside its worker and is reused for every message. Its room is an array, not an
/// `InlineArray`: of that, the optimizer copies all 2.8 KiB to look at one line.
public struct FieldTable: ~Copyable {
    public static let capacity = 100

    public struct Field: BitwiseCopyable, Equatable, Sendable {
        /// From the name to the end of the CRLF.
        public var line: ByteRange
        var nameCount: UInt32
        /// Without surrounding blanks.
        public var value: ByteRange
        public var kind: FieldKind
        /// `false` for hop-by-hop fields, those nominated by Connection, and those marked removed.
        public var isForwarded: Bool
        /// Where the next one is whose kind is not ``FieldKind/other``; not below the count if there is none.
        public internal(set) var nextNotable = UInt8(capacity)

        public var name: ByteRange { ByteRange(start: line.start, count: nameCount) }
    }

    @usableFromInline var storage = [Field](
        repeating: Field(line: .empty, nameCount: 0, value: .empty, kind: .other, isForwarded: false), count: capacity)
    public internal(set) var count = 0
    /// The first line whose kind is not ``FieldKind/other``; not below ``count`` if there is none. Most heads have few.
    public internal(set) var firstNotable = capacity
    var lastNotable = capacity
    /// A line of the kind ``FieldKind/other`` was marked removed.
    public private(set) var isAnyOtherRemoved = false

    public init() {}

    /// `index` is one of `0..<count`. Inlinable: writing a head asks for every line.
    // bounded: count is at most the capacity
    @inlinable public subscript(index: Int) -> Field { storage.span[index] }

    /// `index` is one of `0..<count`.
    // bounded: count is at most the capacity
    public mutating func markRemoved(_ index: Int) {
        storage[index].isForwarded = false
        if storage[index].kind == .other { isAnyOtherRemoved = true }
    }

    mutating func removeAll() {
        count = 0
        firstNotable = Self.capacity
        lastNotable = Self.capacity
        isAnyOtherRemoved = false
    }
}
