// SPDX-License-Identifier: Apache-2.0

/// A request method; those without a case of their own are ``other`` and passed on as spelled.
public enum Method: UInt8, BitwiseCopyable, Sendable {
    case get, head, post, put, delete, connect, options, trace, patch, other

    /// Case-sensitive (RFC 9110 §9.1).
    public init(_ bytes: Span<UInt8>) {
        switch bytes.count {
        case 3: self = spells(bytes, "GET") ? .get : spells(bytes, "PUT") ? .put : .other
        case 4: self = spells(bytes, "POST") ? .post : spells(bytes, "HEAD") ? .head : .other
        case 5: self = spells(bytes, "PATCH") ? .patch : spells(bytes, "TRACE") ? .trace : .other
        case 6: self = spells(bytes, "DELETE") ? .delete : .other
        case 7: self = spells(bytes, "OPTIONS") ? .options : spells(bytes, "CONNECT") ? .connect : .other
        default: self = .other
        }
    }

    /// Sending it twice does what sending it once does (RFC 9110 §9.2.2).
    public var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .trace: true
        case .post, .patch, .connect, .other: false
        }
    }
}

/// The caller has compared the lengths.
private func spells(_ bytes: Span<UInt8>, _ name: String) -> Bool {
    var index = 0
    for byte in name.utf8 {
        guard bytes[index] == byte else { return false }
        index += 1
    }
    return true
}
