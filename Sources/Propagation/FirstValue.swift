// SPDX-License-Identifier: Apache-2.0

/// The first value of a B3 field, however often the field came.
///
/// Lines of one name and parts between commas are the same thing, because an intermediary may join the former into the
/// latter (RFC 9110 §5.3).
struct FirstValue<Value: BitwiseCopyable & Equatable>: BitwiseCopyable {
    enum Reading: BitwiseCopyable, Equatable {
        /// The field did not come, or its first value is empty.
        case absent
        case bad
        case good(Value)
    }

    private(set) var reading: Reading = .absent
    private var isSeen = false
    /// A later value means something else than the first one.
    private(set) var isContradicted = false

    var value: Value? {
        guard case .good(let value) = reading else { return nil }
        return value
    }

    var isAbsent: Bool { reading == .absent }

    /// Reads one field line. `parse` gets a part without blanks around it, never an empty one.
    mutating func offer(_ line: Span<UInt8>, parse: (Span<UInt8>) -> Value?) {
        var start = 0
        while start <= line.count, !isContradicted {
            var end = start
            while end < line.count, line[end] != UInt8(ascii: ",") { end += 1 }
            let part = trimmed(line, start..<end)
            // bounded: a part of start..<end
            note(part.isEmpty ? .absent : parse(line.extracting(part)).map { .good($0) } ?? .bad)
            start = end + 1
        }
    }

    private mutating func note(_ next: Reading) {
        if !isSeen {
            reading = next
            isSeen = true
        } else if next != reading {
            isContradicted = true
        }
    }
}
