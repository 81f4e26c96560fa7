// SPDX-License-Identifier: Apache-2.0
import HTTP1

/// Where spans are posted. The path is used as written, `@` and `_` included, and is a credential
/// with some vendors: it is in no description.
public struct CollectorURL: Sendable, Equatable, CustomStringConvertible {
    public enum Mistake: Error, Equatable, Sendable {
        case notHTTP, tlsUnsupported, userinfo, invalidAuthority, invalidPath

        /// For the operator; without the address.
        public var text: String {
            switch self {
            case .notHTTP: "a collector's address begins with http://"
            case .tlsUnsupported: "TLS to collectors is not supported yet"
            case .userinfo: "a collector's address has no user or password; use headers"
            case .invalidAuthority: "after http:// stands a host and, if need be, a port from 1 to 65535"
            case .invalidPath: "a collector's path has visible ASCII characters only, without #"
            }
        }
    }

    public let scheme: String
    /// Without brackets.
    public let host: String
    public let port: UInt16
    /// With its query; at least `/`.
    public let path: Secret

    /// The authority ends at the first `/`; only before it does `@` mean anything.
    public init(_ text: String) throws(Mistake) {
        let lower = text.prefix(8).lowercased()
        if lower.hasPrefix("https://") { throw .tlsUnsupported }
        guard lower.hasPrefix("http://") else { throw .notHTTP }
        let rest = text.utf8.dropFirst(7)
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
            port = 80
        }
        scheme = "http"
        let path = String(decoding: Array(tail), as: UTF8.self)
        self.path = Secret(path.hasPrefix("/") ? path : "/" + path)
    }

    /// `host:port`, as Host has it.
    var authority: String { (host.contains(":") ? "[\(host)]" : host) + (port == 80 ? "" : ":\(port)") }

    public var description: String { "http://\(host.contains(":") ? "[\(host)]" : host):\(port)/***" }
}
