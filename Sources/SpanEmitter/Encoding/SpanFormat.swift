// SPDX-License-Identifier: Apache-2.0

/// One encoding as a writer of spans: head, then tags, then the end. What is common to a batch
/// stands in ``BatchFrame``.
protocol SpanFormat {
    /// Appends a text as it stands in this format: what a peer may say of itself is escaped or repaired.
    static func append(_ text: Span<UInt8>, to out: inout ByteWriter)
    /// - Parameters:
    ///   - name: of the span, as ``append(_:to:)`` writes it.
    ///   - remoteName: of the peer's service, likewise; empty if unknown.
    ///   - address: the text of the peer's IP address; empty if unknown.
    mutating func begin(
        _ span: inout SpanRecord, name: Span<UInt8>, remoteName: Span<UInt8>, address: Span<UInt8>,
        into out: inout ByteWriter)
    /// Keys are our own constants: printable ASCII without quotes.
    mutating func tag(_ key: StaticString, _ value: Span<UInt8>, into out: inout ByteWriter)
    /// - Parameter value: as ``append(_:to:)`` writes it.
    mutating func tag(_ key: StaticString, ready value: Span<UInt8>, into out: inout ByteWriter)
    /// A value that is one of a span's parts.
    mutating func tag(_ key: StaticString, _ value: Span<UInt8>, as part: SpanPart, into out: inout ByteWriter)
    mutating func tag(_ key: StaticString, number: UInt64, into out: inout ByteWriter)
    mutating func tag(_ key: StaticString, flag: Bool, into out: inout ByteWriter)
    /// A list of one text.
    mutating func tag(_ key: StaticString, list value: Span<UInt8>, into out: inout ByteWriter)
    mutating func end(_ span: inout SpanRecord, into out: inout ByteWriter)
    /// Whether a failed span is marked as such outside of its tags.
    static var hasStatus: Bool { get }
    /// Whether ``write(_:like:address:into:)`` ever writes.
    static var hasTemplates: Bool { get }
    /// Appends a span as one of its shape was written before.
    ///
    /// - Returns: false, without a change, if none is known.
    mutating func write(
        _ span: inout SpanRecord, like shape: SpanShape, address: Span<UInt8>, into out: inout ByteWriter
    ) -> Bool
    /// The span that was written last, from `start` on, is of that shape.
    mutating func keep(_ shape: SpanShape, _ out: borrowing ByteWriter, from start: Int)
}

extension SpanFormat {
    static var hasStatus: Bool { false }
    static var hasTemplates: Bool { false }

    mutating func write(
        _ span: inout SpanRecord, like shape: SpanShape, address: Span<UInt8>, into out: inout ByteWriter
    ) -> Bool { false }

    mutating func keep(_ shape: SpanShape, _ out: borrowing ByteWriter, from start: Int) {}

    @inline(__always)
    mutating func tag(_ key: StaticString, _ value: Span<UInt8>, as part: SpanPart, into out: inout ByteWriter) {
        if part == .address { tag(key, ready: value, into: &out) } else { tag(key, value, into: &out) }
    }

    static func append(_ text: Span<UInt8>, to out: inout ByteWriter) { out.append(text: text) }

    mutating func tag(_ key: StaticString, list value: Span<UInt8>, into out: inout ByteWriter) {
        tag(key, value, into: &out)
    }

    /// `true` or `false` as text.
    mutating func tag(_ key: StaticString, flag: Bool, into out: inout ByteWriter) {
        let yes: InlineArray<4, UInt8> = [0x74, 0x72, 0x75, 0x65]
        let no: InlineArray<5, UInt8> = [0x66, 0x61, 0x6C, 0x73, 0x65]
        if flag { tag(key, ready: yes.span, into: &out) } else { tag(key, ready: no.span, into: &out) }
    }
}

/// This service's endpoints, one per listener, as bytes that are the same in every span.
struct LocalEndpoints: Sendable {
    /// The last one is that of an unknown listener.
    private let texts: TextTable

    init(_ names: SpanNames, write: (EndpointAddress, Span<UInt8>, inout ByteWriter) -> Void) {
        let service = Array(names.service.utf8)
        func bytes(_ address: EndpointAddress) -> [UInt8] {
            var out = ByteWriter()
            write(address, service.span, &out)
            return array(out.span)
        }
        texts = TextTable((names.listeners + [EndpointAddress()]).map(bytes))
    }

    subscript(index: UInt16) -> Span<UInt8> {
        @_lifetime(borrow self)
        @inline(__always)
        borrowing get { texts[min(Int(index), texts.count - 1)] }
    }
}

func array(_ bytes: Span<UInt8>) -> [UInt8] {
    [UInt8](capacity: bytes.count) { out in
        for index in 0..<bytes.count { out.append(bytes[index]) }
    }
}
