// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A request target (RFC 9112 §3.2) and a Host (RFC 3986 §3.2) by their grammar, with the C library's opinion on IP
/// addresses.
struct PlainAuthority {
    /// Of an absolute-form target.
    var authority: ArraySlice<UInt8>?
    /// With its query.
    var path: ArraySlice<UInt8>
    var pathOnly: ArraySlice<UInt8> { path.prefix { $0 != UInt8(ascii: "?") } }

    /// `nil` if the target has none of the forms a reverse proxy takes.
    init?(target: ArraySlice<UInt8>, isOptions: Bool) {
        guard target.allSatisfy({ Self.target.contains($0) }), Self.hasWholeEscapes(target) else { return nil }
        path = target
        if target.first == UInt8(ascii: "/") || isOptions && target.elementsEqual("*".utf8) { return }
        guard String(decoding: target.prefix(7), as: UTF8.self).lowercased() == "http://" else { return nil }
        let authority = target.dropFirst(7).prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        guard Self.isHost(authority) else { return nil }
        self.authority = authority
        path = target[authority.endIndex...]
    }

    /// `host [ ":" port ]`: a registered name of at most 255 bytes or an IP address; a port of 1 to 65535.
    static func isHost(_ text: ArraySlice<UInt8>) -> Bool {
        var name = text
        if let end = text.lastIndex(of: UInt8(ascii: ":")),
            text.first != UInt8(ascii: "[") || text[end - 1] == UInt8(ascii: "]")
        {
            let digits = text[(end + 1)...]
            let port = Int(String(decoding: digits, as: UTF8.self)) ?? 0
            guard digits.count <= 5, digits.first != UInt8(ascii: "+"), 1...65_535 ~= port else { return false }
            name = text[..<end]
        }
        if name.first == UInt8(ascii: "[") {
            return name.last == UInt8(ascii: "]") && isIPv6(name.dropFirst().dropLast())
        }
        return (1...255).contains(name.count) && name.allSatisfy { registered.contains($0) } && hasWholeEscapes(name)
    }

    private static func isIPv6(_ text: ArraySlice<UInt8>) -> Bool {
        guard text.count < 46, !text.contains(0) else { return false }
        var address = in6_addr()
        return unsafe inet_pton(AF_INET6, String(decoding: text, as: UTF8.self), &address) == 1
    }

    private static func hasWholeEscapes(_ text: ArraySlice<UInt8>) -> Bool {
        text.indices.allSatisfy { index in
            let digits = text[(index + 1)...].prefix(2)
            return text[index] != UInt8(ascii: "%")
                || digits.count == 2 && digits.allSatisfy { hexDigitValue($0) != nil }
        }
    }

    private static let unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%"
    private static let registered = Set((unreserved + "!$&'()*+;=").utf8)
    private static let target = Set((unreserved + "!$&'()*+;=,:@/?[]").utf8)
}
