// SPDX-License-Identifier: Apache-2.0
import HTTP1
import SpanEmitter

/// Finds what ties a request to an endpoint, for upstreams that balance by hash.
final class StickyKey {
    private let source: Configuration.HashSource

    init(_ source: Configuration.HashSource) { self.source = source }

    /// - Parameter bytes: the head the fields are of.
    /// - Returns: 0 if the request has no such value or an empty one; such a request goes to any endpoint, in turn.
    func hash(_ bytes: Span<UInt8>, fields: borrowing FieldTable, peer: EndpointAddress) -> UInt64 {
        switch source {
        case .header(let name): hashOfField(name.span, bytes, fields)
        case .cookie(let name): hashOfCookie(name.span, bytes, fields)
        case .source: Self.hash(of: peer)
        }
    }

    private func hashOfField(_ name: Span<UInt8>, _ bytes: Span<UInt8>, _ fields: borrowing FieldTable) -> UInt64 {
        for index in 0..<fields.count {
            let field = fields[index]
            guard Self.isEqual(bytes.extracting(field.name.range), lowercase: name) else { continue }
            return Self.hash(of: bytes.extracting(field.value.range))
        }
        return 0
    }

    /// `a=b; c=d` (RFC 6265 §4.2.1), in one line or in several.
    private func hashOfCookie(_ name: Span<UInt8>, _ bytes: Span<UInt8>, _ fields: borrowing FieldTable) -> UInt64 {
        for index in 0..<fields.count where fields[index].kind == .cookie {
            let line = bytes.extracting(fields[index].value.range)
            var start = 0
            while start < line.count {
                var end = start
                while end < line.count, line[end] != UInt8(ascii: ";") { end += 1 }
                while start < end, line[start] == UInt8(ascii: " ") { start += 1 }
                let pair = line.extracting(start..<end)  // bounded: start and end were compared with the count
                if Self.begins(pair, with: name) {
                    return Self.hash(of: pair.extracting(droppingFirst: name.count + 1))
                }
                start = end + 1
            }
        }
        return 0
    }

    /// Whether `pair` is the name and an equals sign, with or without more.
    // bounded: the pair is longer than the name
    private static func begins(_ pair: Span<UInt8>, with name: Span<UInt8>) -> Bool {
        guard pair.count > name.count, pair[name.count] == UInt8(ascii: "=") else { return false }
        for index in name.indices where pair[index] != name[index] { return false }
        return true
    }

    // bounded: of one length
    private static func isEqual(_ text: Span<UInt8>, lowercase name: Span<UInt8>) -> Bool {
        guard text.count == name.count else { return false }
        for index in name.indices where lowercased(text[index]) != name[index] { return false }
        return true
    }

    private static func hash(of value: Span<UInt8>) -> UInt64 {
        guard !value.isEmpty else { return 0 }
        var hash = StableHash()
        hash.add(value)
        return hash.value
    }

    private static func hash(of peer: EndpointAddress) -> UInt64 {
        guard peer.byteCount > 0 else { return 0 }  // a unix socket
        var hash = StableHash()
        let ip = peer.ip
        for index in 0..<16 { hash.add(ip[index]) }  // bounded: it has sixteen
        return hash.value
    }
}
