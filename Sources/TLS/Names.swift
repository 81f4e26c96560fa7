// SPDX-License-Identifier: Apache-2.0

/// A version of TLS this proxy speaks.
public enum TLSVersion: UInt8, BitwiseCopyable, Sendable, Comparable {
    case tls12, tls13

    /// As OpenTelemetry's `tls.protocol.version` has it.
    public var text: StaticString {
        switch self {
        case .tls12: "1.2"
        case .tls13: "1.3"
        }
    }

    public static func < (one: TLSVersion, other: TLSVersion) -> Bool { one.rawValue < other.rawValue }
}

/// What is spoken inside, as ALPN names it (RFC 7301).
public enum ApplicationProtocol: UInt8, BitwiseCopyable, Sendable {
    case http1, http2

    public var text: StaticString {
        switch self {
        case .http1: "http/1.1"
        case .http2: "h2"
        }
    }

    /// With the byte of length before it.
    var wireForm: [UInt8] {
        let text = Array("\(self.text)".utf8)
        return [UInt8(text.count)] + text
    }
}
