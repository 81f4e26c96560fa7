// SPDX-License-Identifier: Apache-2.0

/// A request method; those without a case of their own are ``other`` and passed on as spelled.
public enum Method: UInt8, BitwiseCopyable, Sendable {
    case get, head, post, put, delete, connect, options, trace, patch, other

    /// Case-sensitive (RFC 9110 §9.1).
    public init(_ bytes: Span<UInt8>) { self.init(bytes, at: 0..<bytes.count) }

    /// The range lies in the bytes.
    init(_ bytes: Span<UInt8>, at range: Range<Int>) {
        switch range.count <= 8 ? Word(bytes, at: range.lowerBound, count: range.count) : Word("") {
        case Word("GET"): self = .get
        case Word("HEAD"): self = .head
        case Word("POST"): self = .post
        case Word("PUT"): self = .put
        case Word("DELETE"): self = .delete
        case Word("CONNECT"): self = .connect
        case Word("OPTIONS"): self = .options
        case Word("TRACE"): self = .trace
        case Word("PATCH"): self = .patch
        default: self = .other
        }
    }

    /// The method of most requests, by their first eight bytes, the blank behind it included; `nil`: any other.
    static func usual(_ start: Word) -> (method: Method, count: Int)? {
        if start.begins("GET ") { return (.get, 3) }
        if start.begins("POST ") { return (.post, 4) }
        if start.begins("PUT ") { return (.put, 3) }
        if start.begins("DELETE ") { return (.delete, 6) }
        if start.begins("HEAD ") { return (.head, 4) }
        if start.begins("PATCH ") { return (.patch, 5) }
        return nil
    }

    /// Sending it twice does what sending it once does (RFC 9110 §9.2.2).
    public var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .trace: true
        case .post, .patch, .connect, .other: false
        }
    }
}
