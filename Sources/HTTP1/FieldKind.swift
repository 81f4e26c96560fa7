// SPDX-License-Identifier: Apache-2.0

/// The field names a proxy has to know; all others are ``other`` and passed on untouched.
public enum FieldKind: UInt8, BitwiseCopyable, Sendable {
    case other
    case host, contentLength, transferEncoding, expect
    case connection, keepAlive, proxyConnection, te, trailer, upgrade, http2Settings
    case via, userAgent
    case contentType, grpcTimeout, grpcStatus
    case authorization, proxyAuthorization, cookie, setCookie
    /// Forwarded, X-Forwarded-For, -Proto and -Host.
    case forwarded, forwardedFor, forwardedProto, forwardedHost
    /// X-Forwarded-Client-Cert.
    case forwardedClientCertificate
    /// X-Request-Id.
    case requestID
    /// X-B3-…
    case b3TraceID, b3SpanID, b3ParentSpanID, b3Sampled, b3Flags
    case b3, traceparent, tracestate

    /// `name` holds only `tchar`s. Names are compared in any case (RFC 9110 §5.1).
    public init(name: Span<UInt8>) {
        self.init(name, count: name.count)
    }

    /// The first `count` bytes are `tchar`s.
    @inline(__always)
    init(_ bytes: Span<UInt8>, count: Int) {
        // bounded: by the name
        guard count > 1, !bytes.isEmpty, Self.mayBeKnown(count: count, first: bytes[0]) else {
            self = .other
            return
        }
        self = Self.named(NameWords(bytes, count), count: count)
    }

    /// Whether a name of so many bytes that begins so may be one of ours: those of most fields are told apart by that.
    @inline(__always)
    private static func mayBeKnown(count: Int, first: UInt8) -> Bool {
        let letter = UInt32(first | 0x20) &- 0x61
        return letter < 26 && initials(count) &>> letter & 1 != 0
    }

    /// The first letters of the names of so many bytes, "a" in the lowest bit.
    @inline(__always)
    private static func initials(_ count: Int) -> UInt32 {
        switch count {
        case 2: bits("tb")
        case 3: bits("v")
        case 4: bits("h")
        case 6: bits("ce")
        case 7: bits("tu")
        case 9: bits("f")
        case 10: bits("cuktxs")
        case 11: bits("txg")
        case 12: bits("xcg")
        case 13: bits("a")
        case 14: bits("ch")
        case 15: bits("x")
        case 16: bits("px")
        case 17: bits("tx")
        case 19: bits("p")
        case 23: bits("x")
        default: 0
        }
    }

    /// The compiler folds the loop into a constant.
    @inline(__always)
    private static func bits(_ letters: String) -> UInt32 {
        var bits: UInt32 = 0
        for letter in letters.utf8 { bits |= 1 &<< (UInt32(letter) &- 0x61) }
        return bits
    }

    private static func named(_ name: NameWords, count: Int) -> FieldKind {
        switch count {
        case 2:
            if name.first == Word("te") { return .te }
            if name.first == Word("b3") { return .b3 }
        case 3:
            if name.first == Word("via") { return .via }
        case 4:
            if name.first == Word("host") { return .host }
        case 6:
            if name.first == Word("cookie") { return .cookie }
            if name.first == Word("expect") { return .expect }
        case 7:
            if name.first == Word("trailer") { return .trailer }
            if name.first == Word("upgrade") { return .upgrade }
        case 9:
            if name.first == Word("forwarde") && name.last == Word("orwarded") { return .forwarded }
        case 10:
            if name.first == Word("connecti") && name.last == Word("nnection") { return .connection }
            if name.first == Word("user-age") && name.last == Word("er-agent") { return .userAgent }
            if name.first == Word("keep-ali") && name.last == Word("ep-alive") { return .keepAlive }
            if name.first == Word("tracesta") && name.last == Word("acestate") { return .tracestate }
            if name.first == Word("x-b3-fla") && name.last == Word("b3-flags") { return .b3Flags }
            if name.first == Word("set-cook") && name.last == Word("t-cookie") { return .setCookie }
        case 11:
            if name.first == Word("tracepar") && name.last == Word("ceparent") { return .traceparent }
            if name.first == Word("x-b3-spa") && name.last == Word("3-spanid") { return .b3SpanID }
            if name.first == Word("grpc-sta") && name.last == Word("c-status") { return .grpcStatus }
        case 12:
            if name.first == Word("content-") && name.last == Word("ent-type") { return .contentType }
            if name.first == Word("x-b3-tra") && name.last == Word("-traceid") { return .b3TraceID }
            if name.first == Word("x-b3-sam") && name.last == Word("-sampled") { return .b3Sampled }
            if name.first == Word("x-reques") && name.last == Word("quest-id") { return .requestID }
            if name.first == Word("grpc-tim") && name.last == Word("-timeout") { return .grpcTimeout }
        case 13:
            if name.first == Word("authoriz") && name.last == Word("rization") { return .authorization }
        case 14:
            if name.first == Word("content-") && name.last == Word("t-length") { return .contentLength }
            if name.first == Word("http2-se") && name.last == Word("settings") { return .http2Settings }
        case 15:
            if name.first == Word("x-forwar") && name.last == Word("rded-for") { return .forwardedFor }
        case 16:
            if name.first == Word("proxy-co") && name.last == Word("nnection") { return .proxyConnection }
            if name.first == Word("x-forwar") && name.last == Word("ded-host") { return .forwardedHost }
        case 17:
            if name.first == Word("transfer") && name.middle == Word("-encodin") && name.last == Word("encoding") {
                return .transferEncoding
            }
            if name.first == Word("x-forwar") && name.middle == Word("ded-prot") && name.last == Word("ed-proto") {
                return .forwardedProto
            }
            if name.first == Word("x-b3-par") && name.middle == Word("entspani") && name.last == Word("ntspanid") {
                return .b3ParentSpanID
            }
        case 19:
            if name.first == Word("proxy-au") && name.middle == Word("thorizat") && name.last == Word("rization") {
                return .proxyAuthorization
            }
        case 23:
            if name.first == Word("x-forwar") && name.middle == Word("ded-clie") && name.last == Word("ent-cert") {
                return .forwardedClientCertificate
            }
        default: break
        }
        return .other
    }
}

extension FieldKind {
    /// In lower case, as HTTP/2 has it; empty for ``other``.
    public var name: StaticString {
        switch self {
        case .other: ""
        case .host: "host"
        case .contentLength: "content-length"
        case .transferEncoding: "transfer-encoding"
        case .expect: "expect"
        case .connection: "connection"
        case .keepAlive: "keep-alive"
        case .proxyConnection: "proxy-connection"
        case .te: "te"
        case .trailer: "trailer"
        case .upgrade: "upgrade"
        case .http2Settings: "http2-settings"
        case .via: "via"
        case .userAgent: "user-agent"
        case .contentType: "content-type"
        case .grpcTimeout: "grpc-timeout"
        case .grpcStatus: "grpc-status"
        case .authorization: "authorization"
        case .proxyAuthorization: "proxy-authorization"
        case .cookie: "cookie"
        case .setCookie: "set-cookie"
        case .forwarded: "forwarded"
        case .forwardedFor: "x-forwarded-for"
        case .forwardedProto: "x-forwarded-proto"
        case .forwardedHost: "x-forwarded-host"
        case .forwardedClientCertificate: "x-forwarded-client-cert"
        case .requestID: "x-request-id"
        case .b3TraceID: "x-b3-traceid"
        case .b3SpanID: "x-b3-spanid"
        case .b3ParentSpanID: "x-b3-parentspanid"
        case .b3Sampled: "x-b3-sampled"
        case .b3Flags: "x-b3-flags"
        case .b3: "b3"
        case .traceparent: "traceparent"
        case .tracestate: "tracestate"
        }
    }

    /// The context of a trace and the id of a request, which no two requests have in common.
    public var isNeverTheSame: Bool {
        switch self {
        case .requestID, .b3TraceID, .b3SpanID, .b3ParentSpanID, .b3, .traceparent, .tracestate: true
        default: false
        }
    }

    /// Meant for the next hop only, whether Connection names it or not (RFC 9110 §7.6.1). Expect is
    /// here because this proxy answers `100-continue` itself.
    public var isHopByHop: Bool { bit & Self.hopByHopBits != 0 }

    /// Says how the message is framed or where it goes, or is meant for this hop: ``FieldSummary`` takes note of it.
    var isNoted: Bool { bit & (Self.hopByHopBits | Self.host.bit | Self.contentLength.bit) != 0 }

    private var bit: UInt64 { 1 &<< UInt64(rawValue) }
    private static var hopByHopBits: UInt64 {
        connection.bit | keepAlive.bit | proxyConnection.bit | te.bit | upgrade.bit | http2Settings.bit
            | transferEncoding.bit | expect.bit
    }

    /// Connection may not take these away from the upstream: they carry routing, framing, credentials
    /// or what a proxy vouches for, and no peer has a reason to call them hop-by-hop.
    var survivesNomination: Bool {
        switch self {
        case .host, .contentLength, .authorization, .cookie, .forwarded, .forwardedFor, .forwardedProto, .forwardedHost,
            .forwardedClientCertificate, .requestID, .b3TraceID, .b3SpanID, .b3ParentSpanID, .b3Sampled, .b3Flags, .b3,
            .traceparent, .tracestate:
            true
        default: false
        }
    }

    /// Fields of a trace, which only a head may carry: those of the head were judged and written anew.
    public var isTraceField: Bool {
        switch self {
        case .requestID, .b3TraceID, .b3SpanID, .b3ParentSpanID, .b3Sampled, .b3Flags, .b3, .traceparent, .tracestate:
            true
        default: false
        }
    }

    /// `X-Forwarded-` with anything behind it, such as the common `-Port` and `-Prefix`.
    public static func vouchesForOrigin(name: Span<UInt8>) -> Bool {
        name.count > 12 && lowercasedEquals(name.extracting(first: 12), "x-forwarded-")
    }

    /// Framing, routing and credential fields, which would be trusted if a receiver merged them into
    /// the head (RFC 9110 §6.5.1).
    public var isForbiddenInTrailers: Bool {
        switch self {
        case .host, .contentLength, .transferEncoding, .expect, .connection, .keepAlive, .proxyConnection, .te,
            .trailer, .upgrade, .http2Settings, .authorization, .proxyAuthorization, .cookie, .setCookie, .forwarded,
            .forwardedFor, .forwardedProto, .forwardedHost, .forwardedClientCertificate:
            true
        default: false
        }
    }
}
