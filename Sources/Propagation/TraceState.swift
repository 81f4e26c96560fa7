// SPDX-License-Identifier: Apache-2.0

/// The members of `tracestate`, joined from all its lines (W3C Trace Context Level 2, §3.3).
///
/// Only asked for when ``Extracted/keepsTracestate`` says so. Keeps its storage over ``reset()``, so one per worker
/// allocates only until it has seen its largest list.
public struct TraceState: ~Copyable {
    /// A longer list loses members when written, in bytes.
    public static let maximumByteCount = 8192
    /// A list with more members is dropped whole.
    private static let maximumMemberCount = 32
    /// Key and value of one member; the longest list that can be collected is 32 of these.
    private static let maximumPartByteCount = 256
    /// Longer members are the first to go when the list is too long.
    private static let longMemberByteCount = 128

    /// The members one after another, without commas.
    private var bytes: [UInt8] = []
    private var members: [Member] = []  // of an InlineArray all is copied to look at one
    /// Counts duplicates too, which are not kept.
    private var seenCount = 0
    /// A member broke the grammar, or there were too many: nothing of the list is passed on.
    public private(set) var isMalformed = false

    public init() {}

    /// Whether a field carries `tracestate`.
    public static func isName(_ name: Span<UInt8>) -> Bool { equals(name, "tracestate") }

    public var isEmpty: Bool { isMalformed || members.isEmpty }

    /// Forgets all members.
    public mutating func reset() {
        guard seenCount > 0 else { return }  // nearly always
        bytes.removeAll(keepingCapacity: true)
        members.removeAll(keepingCapacity: true)
        seenCount = 0
        isMalformed = false
    }

    /// Adds the members of one line. Lines are offered in arrival order.
    public mutating func offer(_ line: Span<UInt8>) {
        var start = 0
        while start <= line.count, !isMalformed {
            var end = start
            while end < line.count, line[end] != UInt8(ascii: ",") { end += 1 }
            let member = trimmed(line, start..<end)
            if !member.isEmpty { add(line.extracting(member)) }  // bounded: a part of start..<end
            start = end + 1
        }
    }

    private mutating func add(_ member: Span<UInt8>) {
        seenCount += 1
        guard seenCount <= TraceState.maximumMemberCount, let keyCount = TraceState.keyCount(member) else {
            isMalformed = true
            return
        }
        for kept in members where hasKey(kept, member, keyCount) { return }
        members.append(Member(start: bytes.count, keyCount: keyCount, count: member.count))
        for index in member.indices { bytes.append(member[index]) }
    }

    // bounded: both keys have keyCount bytes
    private func hasKey(_ kept: Member, _ member: Span<UInt8>, _ keyCount: Int) -> Bool {
        guard kept.keyCount == keyCount else { return false }
        for index in 0..<keyCount where bytes[kept.start + index] != member[index] { return false }
        return true
    }

    /// Appends one `tracestate` line, its members joined by commas; shortened to `limit` bytes of value.
    /// Appends nothing and returns false when there is nothing to say or `out` has too little room.
    // bounded: 32 members at most, which lie in the bytes they were added with
    @discardableResult
    public borrowing func write(
        into out: inout OutputSpan<UInt8>, limit: Int = TraceState.maximumByteCount
    ) -> Bool {
        guard !isEmpty else { return false }
        var kept = InlineArray<32, Bool>(repeating: true)
        var total = members.count - 1
        for index in members.indices { total += members[index].count }
        for isShortAllowed in [false, true] {
            for index in members.indices.reversed() where total > limit && kept[index] {
                guard isShortAllowed || members[index].count > TraceState.longMemberByteCount else { continue }
                kept[index] = false
                total -= members[index].count + 1
            }
        }
        guard total > 0, out.freeCapacity >= "tracestate: \r\n".utf8.count + total else { return false }
        append("tracestate: ", to: &out)
        var isFirst = true
        for index in members.indices where kept[index] {
            if !isFirst { out.append(UInt8(ascii: ",")) }
            isFirst = false
            for offset in 0..<members[index].count { out.append(bytes[members[index].start + offset]) }
        }
        append("\r\n", to: &out)
        return true
    }

    /// The length of the key of a legal `key=value`.
    // bounded: keyCount is below the count as long as bytes are looked at, and a value follows
    private static func keyCount(_ member: Span<UInt8>) -> Int? {
        var keyCount = 0
        while keyCount < member.count, member[keyCount] != UInt8(ascii: "=") {
            guard isKeyByte(member[keyCount], isFirst: keyCount == 0) else { return nil }
            keyCount += 1
        }
        let valueCount = member.count - keyCount - 1
        guard (1...maximumPartByteCount).contains(keyCount), (1...maximumPartByteCount).contains(valueCount) else {
            return nil
        }
        for index in keyCount + 1..<member.count {
            let byte = member[index]
            guard (0x20...0x7E).contains(byte), byte != UInt8(ascii: "=") else { return nil }
        }
        return keyCount
    }

    private static func isKeyByte(_ byte: UInt8, isFirst: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "_"), UInt8(ascii: "*"), UInt8(ascii: "/"), UInt8(ascii: "@"), UInt8(ascii: "-"): !isFirst
        default: false
        }
    }

    /// Where a member stands in `bytes`.
    private struct Member: BitwiseCopyable {
        var start: Int
        var keyCount: Int
        var count: Int
    }
}
