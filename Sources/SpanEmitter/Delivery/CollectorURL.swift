// SPDX-License-Identifier: Apache-2.0

/// Why a text is no collector URL.
public enum CollectorURLError: Error, Equatable, Sendable {
    /// Not `http://host[:port][/path]`.
    case malformed
    /// `https://`: not supported yet.
    case needsTLS

    /// One line for the operator.
    public var text: String {
        switch self {
        case .malformed: "malformed collector URL"
        case .needsTLS: "TLS to collectors is not supported yet"
        }
    }
}

/// Where spans are posted. The path may hold a token and is used byte for byte, `@` and `_` included;
/// it never appears in a description.
public struct CollectorURL: Sendable, Equatable, CustomStringConvertible {
    /// A name or an address, IPv6 without brackets.
    public let host: String
    public let port: UInt16
    let path: Secret

    /// The authority ends at the first `/`, so an `@` in the path is no userinfo.
    public init(_ text: String) throws(CollectorURLError) {
        if text.hasPrefix("https://") { throw .needsTLS }
        guard text.hasPrefix("http://") else { throw .malformed }
        let rest = text.utf8.dropFirst("http://".utf8.count)
        let slash = rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
        guard let (host, port) = Self.hostAndPort(String(decoding: rest[..<slash], as: UTF8.self)) else {
            throw .malformed
        }
        let path = slash == rest.endIndex ? "/" : String(decoding: rest[slash...], as: UTF8.self)
        guard path.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { throw .malformed }
        self.host = host
        self.port = port
        self.path = Secret(path)
    }

    private static func hostAndPort(_ authority: String) -> (String, UInt16)? {
        guard !authority.isEmpty, authority.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "@") })
        else { return nil }
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            let host = String(authority[authority.index(after: authority.startIndex)..<end])
            let rest = authority[authority.index(after: end)...]
            guard let port = port(rest) else { return nil }
            return host.isEmpty ? nil : (host, port)
        }
        let colon = authority.firstIndex(of: ":") ?? authority.endIndex
        guard let port = port(authority[colon...]), colon > authority.startIndex else { return nil }
        return (String(authority[..<colon]), port)
    }

    /// `:9411`, or nothing for 80.
    private static func port(_ text: Substring) -> UInt16? {
        if text.isEmpty { return 80 }
        guard text.first == ":", let port = UInt16(text.dropFirst()), port > 0 else { return nil }
        return port
    }

    /// The Host field of a post.
    var authority: String {
        let name = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
        return port == 80 ? name : "\(name):\(port)"
    }

    public var description: String { "http://\(authority)/***" }
}
