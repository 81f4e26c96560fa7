// SPDX-License-Identifier: Apache-2.0

/// Reads `rejected_spans` from an ExportTraceServiceResponse (protocols.md §6.1).
enum PartialSuccess {
    /// 0 if the body says nothing, or is not understood.
    static func rejectedSpans(_ body: Span<UInt8>) -> UInt64 {
        var reader = Reader(body)
        while let (field, range, value) = reader.next() {
            guard field == 1, value == nil else { continue }
            var inner = Reader(body, range)
            while let (field, _, value) = inner.next() {
                if field == 1, let value { return value }
            }
        }
        return 0
    }

    /// Goes over the fields of one message; stops at anything malformed.
    private struct Reader: ~Escapable {
        private let bytes: Span<UInt8>
        private var position: Int
        private let end: Int

        @_lifetime(copy bytes)
        init(_ bytes: Span<UInt8>, _ range: Range<Int>? = nil) {
            self.bytes = bytes
            position = range?.lowerBound ?? 0
            end = range?.upperBound ?? bytes.count
        }

        /// A field's number and its bytes, or its value if it is a varint.
        @_lifetime(self: copy self)
        mutating func next() -> (field: UInt64, range: Range<Int>, value: UInt64?)? {
            guard let tag = varint() else { return nil }
            switch tag & 7 {
            case 0:
                guard let value = varint() else { return nil }
                return (tag >> 3, position..<position, value)
            case 1: return skip(8, tag)
            case 2:
                guard let count = varint(), count <= UInt64(end - position) else { return nil }
                return skip(Int(count), tag)
            case 5: return skip(4, tag)
            default: return nil
            }
        }

        @_lifetime(self: copy self)
        private mutating func skip(_ count: Int, _ tag: UInt64) -> (field: UInt64, range: Range<Int>, value: UInt64?)? {
            guard count <= end - position else { return nil }
            defer { position += count }
            return (tag >> 3, position..<position + count, nil)
        }

        @_lifetime(self: copy self)
        private mutating func varint() -> UInt64? {
            var value: UInt64 = 0
            for shift in 0..<10 {
                guard position < end else { return nil }
                let byte = bytes[position]
                position += 1
                value |= UInt64(byte & 0x7F) << UInt64(shift * 7)
                if byte < 0x80 { return value }
            }
            return nil
        }
    }
}
