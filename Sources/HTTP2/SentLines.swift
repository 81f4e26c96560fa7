// SPDX-License-Identifier: Apache-2.0
public import HTTP1

/// Where the field lines lie in the text of a head that is sent, as its writer has noted them: nobody has to look for
/// names, colons and line ends again.
///
/// Each stream has one for its heads: its room grows to the longest there was and stays.
@safe
public struct SentLines: ~Copyable {
    /// Offsets into the text, which a block of 64 KiB holds.
    public struct Line: BitwiseCopyable {
        public let kind: FieldKind
        public let nameStart: UInt32
        public let nameCount: UInt32
        public let valueStart: UInt32
        public let valueCount: UInt32

        @inlinable
        init(_ kind: FieldKind, name: Int, count: Int, value: Int, count valueCount: Int) {
            self.kind = kind
            nameStart = UInt32(truncatingIfNeeded: name)
            nameCount = UInt32(truncatingIfNeeded: count)
            valueStart = UInt32(truncatingIfNeeded: value)
            self.valueCount = UInt32(truncatingIfNeeded: valueCount)
        }
    }

    private static let leastRoom = 16

    @usableFromInline var storage: UnsafeMutablePointer<Line>?
    @usableFromInline var room = 0
    @usableFromInline let nameCounts = unsafe Self.nameCounts
    @usableFromInline var used = 0
    private var isWhole = true
    /// Bytes of the whole head; 0 while there is none, or none whose lines were all noted.
    private(set) var headCount = 0

    nonisolated(unsafe) private static let nameCounts: UnsafeMutablePointer<UInt8> = {
        let counts = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
        for raw in UInt8.min...(.max) {
            let name = FieldKind(rawValue: raw)?.name ?? ""
            unsafe (counts + Int(raw)).initialize(to: UInt8(clamping: name.utf8CodeUnitCount))
        }
        return unsafe counts
    }()

    public init() {}

    deinit { unsafe storage?.deallocate() }

    public var count: Int { used }

    /// `nil` beyond ``count``.
    // bounded: as compared
    public subscript(index: Int) -> Line? {
        guard index >= 0, index < used, let storage = unsafe storage else { return nil }
        return unsafe storage[index]
    }

    /// Valid until another one is noted.
    var all: UnsafeBufferPointer<Line> { unsafe UnsafeBufferPointer(start: storage, count: used) }

    /// Begins a head, forgetting the one before.
    mutating func removeAll() { (used, headCount, isWhole) = (0, 0, true) }

    /// The head is complete, with its empty line.
    mutating func finish(headCount: Int) { self.headCount = isWhole ? headCount : 0 }

    /// Notes a line of ours: the name of its kind, a colon, a space, the value and CRLF.
    // bounded: one count for each value of a byte
    @inlinable
    @inline(__always)
    public mutating func append(_ kind: FieldKind, from start: Int, to end: Int) {
        let nameCount = Int(unsafe nameCounts[Int(kind.rawValue)])
        let value = start &+ nameCount &+ 2
        append(kind, name: start, count: nameCount, value: value, count: end &- 2 &- value)
    }

    /// Notes a line that may have blanks around its value.
    // bounded: below the room
    @inlinable
    @inline(__always)
    public mutating func append(_ kind: FieldKind, name: Int, count: Int, value: Int, count valueCount: Int) {
        if used == room { grow() }
        guard used < room, let storage = unsafe storage else { return }
        unsafe (storage + used).initialize(to: Line(kind, name: name, count: count, value: value, count: valueCount))
        used &+= 1
    }

    @inline(never)
    @usableFromInline
    mutating func grow() {
        guard room < FieldLines.capacity else {
            isWhole = false
            return
        }
        let larger = max(Self.leastRoom, 2 * room)
        let grown = UnsafeMutablePointer<Line>.allocate(capacity: larger)
        if let storage = unsafe storage {
            unsafe grown.update(from: storage, count: used)
            unsafe storage.deallocate()
        }
        unsafe storage = unsafe grown
        room = larger
    }
}
