// SPDX-License-Identifier: Apache-2.0

/// What one pass over the received bytes gave.
public enum HeadProgress<Head: BitwiseCopyable>: BitwiseCopyable {
    /// The head has not fully arrived; nothing was kept.
    case incomplete
    /// The head is whole; the body begins right after it.
    case complete(Head)
}

extension HeadProgress: Sendable where Head: Sendable {}

/// Whether another look at the head can tell more than the last one did.
///
/// It can for the first bytes (no peer of ours begins that way), when a line ended, and when the
/// first line has just grown beyond its limit. Each reason holds a bounded number of times per head.
func isWorthParsing(_ bytes: Span<UInt8>, alreadySeen: Int, limits: HeadLimits) -> Bool {
    guard alreadySeen >= firstBytes else { return true }
    let firstLineLimit = limits.methodBytes + limits.targetBytes + firstBytes
    if alreadySeen <= firstLineLimit, bytes.count > firstLineLimit { return true }
    var index = min(alreadySeen, bytes.count)
    while index < bytes.count, bytes[index] != lineFeed { index += 1 }
    return index < bytes.count
}

/// Enough to see that a method is none.
private let firstBytes = 64

/// The head lacks its end. Throws if it is already as large as it may be.
func incomplete<Head: BitwiseCopyable>(
    _ bytes: Span<UInt8>, limits: HeadLimits
) throws(SyntaxError) -> HeadProgress<Head> {
    guard bytes.count < limits.headBytes else { throw .headTooLarge }
    return .incomplete
}

extension Cursor {
    /// All field lines and the empty line after them; `false` if their end has not arrived (RFC 9112 §5).
    mutating func takeFields(
        in bytes: Span<UInt8>, limits: HeadLimits, fields: inout FieldTable, summary: inout FieldSummary,
        ofRequest isRequest: Bool
    ) throws(SyntaxError) -> Bool {
        let limit = min(limits.fieldCount, FieldTable.capacity)
        var filled = 0
        var (first, last) = (FieldTable.capacity, FieldTable.capacity)
        // Asked for once: each store through the array would ask whether it is shared.
        var room = fields.storage.mutableSpan
        while let next = peek(in: bytes) {
            if next == carriageReturn {
                guard try takeLineEnd(in: bytes, otherwise: .invalidLineEnd) != nil else { return false }
                guard position <= limits.headBytes else { throw .headTooLarge }
                fields.count = filled
                fields.firstNotable = first
                fields.lastNotable = last
                return true
            }
            guard let field = try takeFieldLine(in: bytes) else { return false }
            // Most fields mean nothing to a proxy.
            if field.kind.isNoted { try summary.note(field, in: bytes, ofRequest: isRequest) }
            guard filled < limit else { throw .tooManyFields }
            if field.kind != .other {
                if last < filled {
                    room[last].nextNotable = UInt8(truncatingIfNeeded: filled)  // bounded: just compared
                } else {
                    first = filled
                }
                last = filled
            }
            room[filled] = field  // bounded: the limit is at most the capacity
            filled += 1
        }
        return false
    }
}

extension FieldTable {
    /// For a Content-Length that is valid but not spelled as we would spell it.
    mutating func removeLengthLine() {
        // bounded: its own count
        for index in 0..<count where self[index].kind == .contentLength { markRemoved(index) }
    }
}
