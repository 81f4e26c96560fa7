// SPDX-License-Identifier: Apache-2.0
import HTTP1

/// Where spans are posted. The path is used as written, `@` and `_` included, and is a credential
/// with some vendors: it is in no description.
public struct CollectorURL: Sendable, Equatable, CustomStringConvertible {
    public enum Mistake: Error, Equatable, Sendable {
        case notHTTP, userinfo, invalidAuthority, invalidPath

        /// For the operator; without the address.
        public var text: String {
            switch self {
            case .notHTTP: "a collector's address begins with http:// or https://"
            case .userinfo: "a collector's address has no user or password; use headers"
            case .invalidAuthority: "after the scheme stands a host and, if need be, a port from 1 to 65535"
            case .invalidPath: "a collector's path has visible ASCII characters only, without #"
            }
        }
    }

    /// Whether it is spoken to by TLS: the scheme is `https`.
    public let isSecure: Bool
    /// Without brackets.
    public let host: String
    public let port: UInt16
    /// With its query; at least `/`.
    public let path: Secret

    /// The authority ends at the first `/`; only before it does `@` mean anything.
    public init(_ text: String) throws(Mistake) {
        let lower = text.prefix(8).lowercased()
        isSecure = lower.hasPrefix("https://")
        guard isSecure || lower.hasPrefix("http://") else { throw .notHTTP }
        let rest = text.utf8.dropFirst(isSecure ? 8 : 7)
        let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        let authority = rest[..<end]
        let tail = rest[end...]
        if authority.contains(UInt8(ascii: "@")) { throw .userinfo }
        let bytes = Array(authority)
        guard !bytes.isEmpty, isHost(bytes.span) else { throw .invalidAuthority }
        guard tail.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }) else { throw .invalidPath }
        let hostEnd =
            bytes.first == UInt8(ascii: "[")
            ? (bytes.lastIndex(of: UInt8(ascii: "]")).map { $0 + 1 } ?? bytes.count)
            : (bytes.lastIndex(of: UInt8(ascii: ":")) ?? bytes.count)
        let named = String(decoding: bytes[..<hostEnd], as: UTF8.self)
        host = named.hasPrefix("[") ? String(named.dropFirst().dropLast()) : named
        if hostEnd < bytes.count {
            guard let number = UInt16(String(decoding: bytes[(hostEnd + 1)...], as: UTF8.self)), number > 0 else {
                throw .invalidAuthority
            }
            port = number
        } else {
            port = isSecure ? 443 : 80
        }
        let path = String(decoding: Array(tail), as: UTF8.self)
        self.path = Secret(path.hasPrefix("/") ? path : "/" + path)
    }

    /// `host:port`, as Host has it: without the scheme's own port.
    var authority: String { hostText + (port == (isSecure ? 443 : 80) ? "" : ":\(port)") }

    private var hostText: String { host.contains(":") ? "[\(host)]" : host }

    public var description: String { "\(isSecure ? "https" : "http")://\(hostText):\(port)/***" }
}
