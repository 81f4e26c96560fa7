// SPDX-License-Identifier: Apache-2.0
import HTTP1

/// Turns a record into name and tags, by profile. Holds every text that does not change as bytes.
struct TagWriter: ~Copyable {
    private static let methods: [String] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "HTTP",
    ]

    /// Values that are always the same.
    enum Word: Int, CaseIterable {
        case other, http, https, error, yes, dash, proxy, grpc, tls

        var text: String {
            switch self {
            case .other: "_OTHER"
            case .http: "http"
            case .https: "https"
            case .error: "ERROR"
            case .yes: "true"
            case .dash: "-"
            case .proxy: "proxy"
            case .grpc: "grpc"
            case .tls: "tls"
            }
        }
    }

    let profile: TagProfile
    /// For texts put together for one tag.
    let scratch = ByteWriterBox()
    /// Of the SERVER spans' peers, and of the CLIENT spans'.
    private let callers = AddressMemo()
    private let endpoints = AddressMemo()
    let callNames: CallNames
    /// All that never change; a value of many tables would be copied by every call.
    private let constants = TextTable(
        rows: [
            TagWriter.methods, SpanError.allCases.map(\.text), SpanError.allCases.map(\.envoyFlags),
            HTTPVersion.allCases.map(\.text), HTTPVersion.allCases.map { "HTTP/\($0.text)" },
            SpanSecurity.allCases.map(\.versionText), GRPCStatus.allCases.map(\.name), Word.allCases.map(\.text),
        ])
    /// Of each route, by number: the route, then `GET /route` and so on in the order of ``Method``; 0 is none. The two that
    /// a span has most often stand together: among thousands of routes they are in no cache.
    private let routes: TextTable
    private static let routeColumns = TagWriter.methods.count + 1
    /// Of each upstream, by number: its name, Envoy's name of its spans, what it has to prove to be; 0 is none.
    private let upstreams: TextTable
    private static let upstreamColumns = 3

    /// - Parameter prepare: as which the format writes a text; what is known beforehand is kept so.
    init(
        _ profile: TagProfile, names: SpanNames, callNames: CallNames,
        prepare: (Span<UInt8>, inout ByteWriter) -> Void
    ) {
        self.profile = profile
        self.callNames = callNames
        routes = TextTable(
            ([""] + names.routes).lazy.flatMap { route in
                [route] + Self.methods.map { route.isEmpty ? $0 : "\($0) \(route)" }
            }, prepare)
        let serverNames = [""] + names.serverNames
        upstreams = TextTable(
            ([""] + names.upstreams).enumerated().flatMap { number, upstream in
                [
                    upstream, "router \(upstream) egress",
                    serverNames.indices.contains(number) ? serverNames[number] : "",
                ]
            }, prepare)
    }

    /// A row of ``constants``.
    private enum Row: Int { case methods, errors, flags, versions, protocols, securities, statuses, words }

    // bounded: a table answers every number
    @_lifetime(borrow self)
    @inline(__always)
    private func text(_ row: Row, _ column: UInt8) -> Span<UInt8> { constants[row: row.rawValue, Int(column)] }

    @_lifetime(borrow self)
    func text(_ word: Word) -> Span<UInt8> { text(.words, UInt8(truncatingIfNeeded: word.rawValue)) }

    @_lifetime(borrow self)
    func text(_ method: Method) -> Span<UInt8> { text(.methods, method.rawValue) }

    @_lifetime(borrow self)
    func text(_ error: SpanError) -> Span<UInt8> { text(.errors, error.rawValue) }

    @_lifetime(borrow self)
    func text(_ status: GRPCStatus) -> Span<UInt8> { text(.statuses, status.rawValue) }

    @_lifetime(borrow self)
    func text(_ security: SpanSecurity) -> Span<UInt8> { text(.securities, security.rawValue) }

    /// Empty if it has none, or differs by endpoint.
    @_lifetime(borrow self)
    func serverName(ofUpstream number: UInt16) -> Span<UInt8> { upstreams[Int(number) * Self.upstreamColumns + 2] }

    @_lifetime(borrow self)
    private func name(ofUpstream number: UInt16) -> Span<UInt8> { upstreams[Int(number) * Self.upstreamColumns] }

    @_lifetime(borrow self)
    private func route(_ number: UInt16) -> Span<UInt8> { routes[Int(number) * Self.routeColumns] }

    /// Writes the whole span.
    func write<Format: SpanFormat>(
        _ span: inout SpanRecord, with format: inout Format, into out: inout ByteWriter
    ) {
        if span.kind == .server {
            callers.look(span.peer)
            write(&span, callers.text, with: &format, into: &out)
        } else {
            endpoints.look(span.peer)
            write(&span, endpoints.text, with: &format, into: &out)
        }
    }

    private func write<Format: SpanFormat>(
        _ span: inout SpanRecord, _ address: borrowing ByteWriter, with format: inout Format,
        into out: inout ByteWriter
    ) {
        guard Format.hasTemplates, profile == .zipkin, let shape = SpanShape(&span) else {
            return writeAnew(&span, address, with: &format, into: &out)
        }
        if format.write(&span, like: shape, address: address.span, into: &out) { return }
        let start = out.count
        writeAnew(&span, address, with: &format, into: &out)
        format.keep(shape, out, from: start)
    }

    private func writeAnew<Format: SpanFormat>(
        _ span: inout SpanRecord, _ address: borrowing ByteWriter, with format: inout Format,
        into out: inout ByteWriter
    ) {
        let remoteName = name(ofUpstream: span.kind == .client ? span.upstream : 0)
        if span.grpcStatus.isCall {
            writeCallName(span.texts.path, as: Format.self)
            format.begin(
                &span, name: scratch.bytes.span, remoteName: remoteName, address: address.span, into: &out)
        } else if profile == .envoy, span.kind == .server, !span.texts.host.isEmpty {
            scratch.bytes.truncate(to: 0)
            Format.append(span.texts.host, to: &scratch.bytes)
            format.begin(
                &span, name: scratch.bytes.span, remoteName: remoteName, address: address.span, into: &out)
        } else {
            format.begin(
                &span, name: name(span.kind, span.method, route: span.route, upstream: span.upstream),
                remoteName: remoteName, address: address.span, into: &out)
        }
        switch profile {
        case .zipkin: writeZipkin(&span, address, &format, &out)
        case .otel: writeOTel(&span, address, &format, &out)
        case .envoy: writeEnvoy(&span, address, &format, &out)
        }
        format.end(&span, into: &out)
    }

    /// `{method} {route}` or `{method}`; never the path, which has no bound.
    @_lifetime(borrow self)
    private func name(_ kind: SpanRecord.Kind, _ method: Method, route: UInt16, upstream: UInt16) -> Span<UInt8> {
        if kind == .client {
            return profile == .envoy ? upstreams[Int(upstream) * Self.upstreamColumns + 1] : text(method)
        }
        let first = Int(route) * Self.routeColumns
        return routes[(first < routes.count ? first : 0) + 1 + Int(method.rawValue)]
    }

    // MARK: Profiles

    /// What is not a ``SpanPart`` is the same for all spans of a ``SpanShape``.
    private func writeZipkin<Format: SpanFormat>(
        _ span: inout SpanRecord, _ address: borrowing ByteWriter, _ format: inout Format, _ out: inout ByteWriter
    ) {
        writeMethod("http.method", &span, &format, &out)
        if !span.texts.path.isEmpty { format.tag("http.path", span.texts.path, as: .path, into: &out) }
        if span.status > 0 { format.tag("http.status_code", number: UInt64(span.status), into: &out) }
        if span.grpcStatus.isCall { writeZipkinCall(&span, &format, &out) }
        if span.isError { writeFailure("error", &span, &format, &out) }
        writeLocalReason(&span, &format, &out)
        if span.kind == .server { format.tag("http.route", ready: route(span.route), into: &out, unlessEmpty: true) }
        writeResend("http.request.resend_count", &span, &format, &out)
        writeAddress("peer.address", address, &format, &out)
        if !span.texts.requestID.isEmpty {
            format.tag("guid:x-request-id", span.texts.requestID, as: .requestID, into: &out)
        }
        if span.security != .plain { writeSecurity(&span, &format, &out) }
    }

    private func writeOTel<Format: SpanFormat>(
        _ span: inout SpanRecord, _ address: borrowing ByteWriter, _ format: inout Format, _ out: inout ByteWriter
    ) {
        let isCall = span.grpcStatus.isCall
        if isCall { writeOTelCall(&span, &format, &out) } else { writeOTelMethod(&span, &format, &out) }
        if span.kind == .server {
            if !isCall {
                format.tag("url.path", span.texts.path, into: &out)
                let scheme = span.security == .plain ? Word.http : Word.https
                format.tag("url.scheme", ready: text(scheme), into: &out)
            }
            format.tag("http.route", ready: route(span.route), into: &out, unlessEmpty: true)
            writeServer(span.texts.host, &format, &out)
            writeAddress("client.address", address, &format, &out)
            format.tag("user_agent.original", span.texts.userAgent, into: &out, unlessEmpty: true)
        } else {
            writeAddress("server.address", address, &format, &out)
            if span.peer.port > 0 { format.tag("server.port", number: UInt64(span.peer.port), into: &out) }
            if !isCall { writeURL("url.full", &span, &format, &out) }
            writeResend("http.request.resend_count", &span, &format, &out)
        }
        if span.status > 0 { format.tag("http.response.status_code", number: UInt64(span.status), into: &out) }
        if span.isError {
            writeFailure("error.type", &span, &format, &out)
            if !Format.hasStatus {
                writeFailure("error", &span, &format, &out)
                format.tag("otel.status_code", ready: text(Word.error), into: &out)
            }
        }
        writeLocalReason(&span, &format, &out)
        format.tag("network.protocol.version", ready: text(.versions, span.httpVersion.rawValue), into: &out)
        writeAddress("network.peer.address", address, &format, &out)
        if span.peer.byteCount > 0, span.peer.port > 0 {
            format.tag("network.peer.port", number: UInt64(span.peer.port), into: &out)
        }
        if !isCall { writeBodySizes(&span, &format, &out) }
        if !span.texts.requestID.isEmpty {
            format.tag("http.request.header.x-request-id", list: span.texts.requestID, into: &out)
        }
        if span.security != .plain { writeSecurity(&span, &format, &out) }
    }

    private func writeOTelMethod<Format: SpanFormat>(
        _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        if span.method == .other {
            format.tag("http.request.method", ready: text(Word.other), into: &out)
            format.tag("http.request.method_original", span.texts.method, into: &out, unlessEmpty: true)
        } else {
            format.tag("http.request.method", ready: text(span.method), into: &out)
        }
    }

    private func writeBodySizes<Format: SpanFormat>(
        _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        if span.requestBytes > 0 { format.tag("http.request.body.size", number: span.requestBytes, into: &out) }
        if span.responseBytes > 0 { format.tag("http.response.body.size", number: span.responseBytes, into: &out) }
    }

    private func writeEnvoy<Format: SpanFormat>(
        _ span: inout SpanRecord, _ address: borrowing ByteWriter, _ format: inout Format, _ out: inout ByteWriter
    ) {
        format.tag("component", ready: text(Word.proxy), into: &out)
        format.tag("guid:x-request-id", span.texts.requestID, into: &out, unlessEmpty: true)
        writeURL("http.url", &span, &format, &out)
        writeMethod("http.method", &span, &format, &out)
        format.tag("http.protocol", ready: text(.protocols, span.httpVersion.rawValue), into: &out)
        format.tag("http.status_code", number: UInt64(span.status), into: &out)
        format.tag("user_agent", span.texts.userAgent, into: &out, unlessEmpty: true)
        format.tag("request_size", number: span.requestBytes, into: &out)
        format.tag("response_size", number: span.responseBytes, into: &out)
        format.tag("response_flags", ready: text(.flags, span.error.rawValue), into: &out)
        format.tag("downstream_cluster", ready: text(Word.dash), into: &out)
        if span.upstream > 0 {
            format.tag("upstream_cluster", ready: name(ofUpstream: span.upstream), into: &out)
            format.tag("upstream_cluster.name", ready: name(ofUpstream: span.upstream), into: &out)
        }
        if span.kind == .server {
            writeAddress("peer.address", address, &format, &out)
        } else {
            writeAddressAndPort("upstream_address", &span, &format, &out)
            writeAddress("peer.address", address, &format, &out)
        }
        writeResend("retry.count", &span, &format, &out)
        if span.security != .plain { writeSecurity(&span, &format, &out) }
        if span.grpcStatus.isCall { writeEnvoyCall(&span, &format, &out) }
        let isCut = span.status == 0 ? span.isError : false
        if isCut || span.status >= 500 || span.isFaultyCall {
            format.tag("error", ready: text(Word.yes), into: &out)
        }
    }

    // MARK: Parts

    @inline(__always)
    private func writeMethod<Format: SpanFormat>(
        _ key: StaticString, _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        if span.method == .other {
            format.tag(key, span.texts.method, into: &out, unlessEmpty: true)
        } else {
            format.tag(key, ready: text(span.method), into: &out)
        }
    }

    /// The reason if we know one, else the status that means failure; a gRPC call's by name.
    private func writeFailure<Format: SpanFormat>(
        _ key: StaticString, _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        if span.error != .none {
            format.tag(key, ready: text(span.error), into: &out)
        } else if span.grpcStatus.isKnown {
            format.tag(key, ready: text(span.grpcStatus), into: &out)
        } else if span.status > 0, !span.grpcStatus.isCall {
            var digits = InlineArray<3, UInt8>(repeating: UInt8(ascii: "0"))
            digits[0] += UInt8(span.status / 100 % 10)  // bounded: three of three
            digits[1] += UInt8(span.status / 10 % 10)  // bounded: three of three
            digits[2] += UInt8(span.status % 10)  // bounded: three of three
            format.tag(key, ready: digits.span, into: &out)
        } else {
            format.tag(key, ready: text(Word.error), into: &out)
        }
    }

    /// Why this proxy answered, or was left, where conventions see no failure of ours.
    @inline(__always)
    private func writeLocalReason<Format: SpanFormat>(
        _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        if span.error != .none, !span.isError {
            format.tag("proxy.reason", ready: text(span.error), into: &out)
        }
    }

    @inline(__always)
    private func writeResend<Format: SpanFormat>(
        _ key: StaticString, _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        if span.resendCount > 0 { format.tag(key, number: UInt64(span.resendCount), into: &out) }
    }

    @inline(__always)
    private func writeAddress<Format: SpanFormat>(
        _ key: StaticString, _ address: borrowing ByteWriter, _ format: inout Format, _ out: inout ByteWriter
    ) {
        if address.count > 0 { format.tag(key, address.span, as: .address, into: &out) }
    }

    private func writeAddressAndPort<Format: SpanFormat>(
        _ key: StaticString, _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        guard span.peer.byteCount > 0 else { return }
        scratch.bytes.truncate(to: 0)
        if span.peer.byteCount == 16 { scratch.bytes.append(UInt8(ascii: "[")) }
        scratch.bytes.append(ipText: span.peer)
        if span.peer.byteCount == 16 { scratch.bytes.append(UInt8(ascii: "]")) }
        scratch.bytes.append(UInt8(ascii: ":"))
        scratch.bytes.append(decimal: UInt64(span.peer.port))
        format.tag(key, ready: scratch.bytes.span, into: &out)
    }

    /// Without the query, which may hold secrets.
    private func writeURL<Format: SpanFormat>(
        _ key: StaticString, _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        guard !span.texts.host.isEmpty else { return }
        scratch.bytes.truncate(to: 0)
        scratch.bytes.append(span.security == .plain ? "http://" : "https://")
        scratch.bytes.append(span.texts.host)
        scratch.bytes.append(span.texts.path)
        format.tag(key, scratch.bytes, into: &out)
    }

    /// `server.address` and `server.port` out of `host[:port]`.
    // bounded: end goes down from the count, to 1
    private func writeServer<Format: SpanFormat>(
        _ host: Span<UInt8>, _ format: inout Format, _ out: inout ByteWriter
    ) {
        guard !host.isEmpty else { return }
        var end = host.count
        var port: UInt64 = 0
        var scale: UInt64 = 1
        while end > 0, scale <= 10_000, case let digit = host[end - 1] &- UInt8(ascii: "0"), digit < 10 {
            port += UInt64(digit) * scale
            scale *= 10
            end -= 1
        }
        let hasPort = end > 1 && end < host.count && host[end - 1] == UInt8(ascii: ":")
        format.tag("server.address", hasPort ? host.extracting(first: end - 1) : host, into: &out)
        if hasPort, port > 0, port < 65_536 { format.tag("server.port", number: port, into: &out) }
    }
}

extension SpanFormat {
    @inline(__always)
    mutating func tag(_ key: StaticString, _ value: borrowing ByteWriter, into out: inout ByteWriter) {
        tag(key, value.span, into: &out)
    }

    @inline(__always)
    mutating func tag(_ key: StaticString, _ value: Span<UInt8>, into out: inout ByteWriter, unlessEmpty: Bool) {
        if !value.isEmpty { tag(key, value, into: &out) }
    }

    @inline(__always)
    mutating func tag(_ key: StaticString, ready value: Span<UInt8>, into out: inout ByteWriter, unlessEmpty: Bool) {
        if !value.isEmpty { tag(key, ready: value, into: &out) }
    }
}
