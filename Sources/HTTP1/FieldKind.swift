// SPDX-License-Identifier: Apache-2.0

/// The field names a proxy has to know; all others are ``other`` and passed on untouched.
public enum FieldKind: UInt8, BitwiseCopyable, Sendable {
    case other
    case host, contentLength, transferEncoding, expect
    case connection, keepAlive, proxyConnection, te, trailer, upgrade, http2Settings
    case via, userAgent
    case authorization, proxyAuthorization, cookie, setCookie
    /// Forwarded, X-Forwarded-For, -Proto and -Host.
    case forwarded, forwardedFor, forwardedProto, forwardedHost
    /// X-Request-Id.
    case requestID
    /// X-B3-…
    case b3TraceID, b3SpanID, b3ParentSpanID, b3Sampled, b3Flags
    case b3, traceparent, tracestate

    /// Names are compared in any case (RFC 9110 §5.1).
    public init(name: Span<UInt8>) {
        self = Self.named(name)
    }

    private static func named(_ name: Span<UInt8>) -> FieldKind {
        switch name.count {
        case 2:
            if lowercasedEquals(name, "te") { return .te }
            if lowercasedEquals(name, "b3") { return .b3 }
        case 3:
            if lowercasedEquals(name, "via") { return .via }
        case 4:
            if lowercasedEquals(name, "host") { return .host }
        case 6:
            if lowercasedEquals(name, "cookie") { return .cookie }
            if lowercasedEquals(name, "expect") { return .expect }
        case 7:
            if lowercasedEquals(name, "trailer") { return .trailer }
            if lowercasedEquals(name, "upgrade") { return .upgrade }
        case 9:
            if lowercasedEquals(name, "forwarded") { return .forwarded }
        case 10:
            if lowercasedEquals(name, "connection") { return .connection }
            if lowercasedEquals(name, "user-agent") { return .userAgent }
            if lowercasedEquals(name, "keep-alive") { return .keepAlive }
            if lowercasedEquals(name, "tracestate") { return .tracestate }
            if lowercasedEquals(name, "x-b3-flags") { return .b3Flags }
            if lowercasedEquals(name, "set-cookie") { return .setCookie }
        case 11:
            if lowercasedEquals(name, "traceparent") { return .traceparent }
            if lowercasedEquals(name, "x-b3-spanid") { return .b3SpanID }
        case 12:
            if lowercasedEquals(name, "x-b3-traceid") { return .b3TraceID }
            if lowercasedEquals(name, "x-b3-sampled") { return .b3Sampled }
            if lowercasedEquals(name, "x-request-id") { return .requestID }
        case 13:
            if lowercasedEquals(name, "authorization") { return .authorization }
        case 14:
            if lowercasedEquals(name, "content-length") { return .contentLength }
            if lowercasedEquals(name, "http2-settings") { return .http2Settings }
        case 15:
            if lowercasedEquals(name, "x-forwarded-for") { return .forwardedFor }
        case 16:
            if lowercasedEquals(name, "proxy-connection") { return .proxyConnection }
            if lowercasedEquals(name, "x-forwarded-host") { return .forwardedHost }
        case 17:
            if lowercasedEquals(name, "transfer-encoding") { return .transferEncoding }
            if lowercasedEquals(name, "x-forwarded-proto") { return .forwardedProto }
            if lowercasedEquals(name, "x-b3-parentspanid") { return .b3ParentSpanID }
        case 19:
            if lowercasedEquals(name, "proxy-authorization") { return .proxyAuthorization }
        default: break
        }
        return .other
    }
}

extension FieldKind {
    /// Meant for the next hop only, whether Connection names it or not (RFC 9110 §7.6.1). Expect is
    /// here because this proxy answers `100-continue` itself.
    var isHopByHop: Bool {
        switch self {
        case .connection, .keepAlive, .proxyConnection, .te, .upgrade, .http2Settings, .transferEncoding, .expect: true
        default: false
        }
    }

    /// Connection may not take these away from the upstream: they carry routing, framing, credentials
    /// or what a proxy vouches for, and no peer has a reason to call them hop-by-hop.
    var survivesNomination: Bool {
        switch self {
        case .host, .contentLength, .authorization, .cookie, .forwarded, .forwardedFor, .forwardedProto, .forwardedHost,
            .requestID, .b3TraceID, .b3SpanID, .b3ParentSpanID, .b3Sampled, .b3Flags, .b3, .traceparent, .tracestate:
            true
        default: false
        }
    }

    /// Framing, routing and credential fields, which would be trusted if a receiver merged them into
    /// the head (RFC 9110 §6.5.1).
    var isForbiddenInTrailers: Bool {
        switch self {
        case .host, .contentLength, .transferEncoding, .expect, .connection, .keepAlive, .proxyConnection, .te,
            .trailer, .upgrade, .http2Settings, .authorization, .proxyAuthorization, .cookie, .setCookie, .forwarded,
            .forwardedFor, .forwardedProto, .forwardedHost:
            true
        default: false
        }
    }
}
