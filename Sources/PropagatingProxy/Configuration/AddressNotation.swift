// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// Reads addresses as operators write them.
enum AddressNotation {
    static let listenExpected = "an address such as 127.0.0.1:5000, [::]:5000 or unix:/run/proxy.sock"
    static let endpointExpected = "an endpoint such as app.example:9080, [::1]:9080 or unix:/run/app.sock"

    /// An IP literal or `localhost`, with a port that may be 0 (any free one); or a unix socket.
    static func listen(_ text: String) -> Configuration.ListenAddress? {
        if let path = unixPath(text) {
            return SocketAddress(unixPath: path).map { Configuration.ListenAddress(socketAddress: $0) }
        }
        guard let (host, port) = hostAndPort(text, ports: 0...65_535) else { return nil }
        let literal = host == "localhost" ? "127.0.0.1" : host
        return SocketAddress(literal: literal, port: port).map { Configuration.ListenAddress(socketAddress: $0) }
    }

    static func endpoint(_ text: String) -> Configuration.EndpointName? {
        if let path = unixPath(text) { return SocketAddress(unixPath: path).map { .unix($0) } }
        return hostAndPort(text, ports: 1...65_535).map { .host($0.host, port: $0.port) }
    }

    /// `host:port` as a Host field holds it; the scheme's own port is left out.
    static func authority(_ endpoint: Configuration.EndpointName, overTLS: Bool = false) -> [UInt8] {
        guard case .host(let host, let port) = endpoint else { return Array("localhost".utf8) }
        let name = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
        return Array((port == (overTLS ? 443 : 80) ? name : "\(name):\(port)").utf8)
    }

    /// What a Host field may hold: a name or an address, with or without port.
    static func isAuthority(_ text: String) -> Bool {
        if isHostName(text) { return true }
        if case .host? = endpoint(text) { return true }
        return false
    }

    private static func unixPath(_ text: String) -> String? {
        guard text.hasPrefix("unix:") else { return nil }
        let path = text.dropFirst("unix:".count)
        return path.hasPrefix("/") ? String(path) : ""
    }

    private static func hostAndPort(_ text: String, ports: ClosedRange<Int>) -> (host: String, port: UInt16)? {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let portText = text[text.index(after: colon)...]
        guard portText.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = Int(portText), ports.contains(port)
        else { return nil }
        let host = String(text[..<colon])
        if host.hasPrefix("[") {
            let inner = String(host.dropFirst().dropLast())
            guard host.hasSuffix("]"), inner.contains(":"), SocketAddress(literal: inner, port: 0) != nil else {
                return nil
            }
            return (inner, UInt16(port))
        }
        guard isHostName(host) else { return nil }
        return (host, UInt16(port))
    }

    /// A DNS name or an IPv4 address: letters, digits, `-`, `_` and single dots, at most 253 bytes.
    static func isHostName(_ text: String) -> Bool {
        guard !text.isEmpty, text.utf8.count <= 253 else { return false }
        return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            (1...63).contains(label.utf8.count)
                && label.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
        }
    }
}
