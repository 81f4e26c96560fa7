// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import HTTP2
import Propagation

/// Writes the request head that goes upstream: the received field lines in their order and
/// spelling, without those that end at this hop, then the lines this proxy answers for.
enum RequestWriter {
    /// The most bytes the added lines take, without `tracestate`, rewrites and received `X-Forwarded-For` values.
    static let addedByteCount = Injection.maximumByteCount + 512

    /// - Parameters:
    ///   - bytes: the received head, at offset 0.
    ///   - trace: the CLIENT span's context.
    ///   - requestID: minted, when the received one is absent or not acceptable.
    ///   - fields: its lines; those of the trace context and of `X-Forwarded-*` that are replaced are marked removed.
    ///   - toStream: an HTTP/2 stream, which needs no framing and cannot be upgraded.
    ///   - lines: those of what is written, for a stream; `out` is empty then.
    ///   - out: must have room for `bytes.count`, the rewrites of the route and ``addedByteCount``.
    static func write(
        _ bytes: Span<UInt8>, head: RequestHead, fields: borrowing FieldTable, route: RouteContext,
        downstream: DownstreamConnection, toStream: Bool, listener: ListenerContext, trace: TraceContext,
        requestID: RequestID?, traceState: borrowing TraceState, lines: inout SentLines,
        into out: inout OutputSpan<UInt8>
    ) {
        var notes = LineNotes(isWanted: toStream)
        let hasHost: Bool
        if fields.count > 0, keepsRequestLine(head, route) {
            let start = Int(head.methodText.start)
            hasHost = writeFields(bytes, from: start, fields: fields, route: route, notes, &lines, into: &out)
        } else {
            writeRequestLine(bytes, head: head, route: route, into: &out)
            let start = fields.count > 0 ? Int(fields[0].line.start) : 0
            hasHost = writeFields(bytes, from: start, fields: fields, route: route, notes, &lines, into: &out)
        }
        if !hasHost {
            notes.begin(out)
            writeHost(bytes, head: head, route: route, into: &out)
            notes.end(.host, &lines, out)
        }
        if head.needsLength, case .length(let count) = head.framing {
            notes.begin(out)
            out.write("Content-Length: ")
            out.write(decimal: count)
            out.write("\r\n")
            notes.end(.contentLength, &lines, out)
        }
        if toStream {
            if takesTrailers(bytes, fields) {
                notes.begin(out)
                out.write("te: trailers\r\n")
                notes.end(.te, &lines, out)
            }
        } else if head.framing == .chunked || head.framing == .untilClose {
            out.write("Transfer-Encoding: chunked\r\n")
        }
        if !head.upgrade.isEmpty, !toStream {
            out.write("Connection: Upgrade\r\nUpgrade: ")
            out.write(bytes.extracting(head.upgrade.range))
            out.write("\r\n")
        }
        writeForwarded(bytes, head: head, fields: fields, downstream: downstream, &notes, &lines, into: &out)
        if let security = downstream.security, !security.certificateElement.isEmpty {
            notes.begin(out)
            writeCertificate(security, bytes, fields: fields, of: downstream, into: &out)
            notes.end(.forwardedClientCertificate, &lines, out)
        }
        if listener.addsVia {
            notes.begin(out)
            out.write(head.minorVersion == 0 ? "Via: 1.0 propagating-proxy\r\n" : "Via: 1.1 propagating-proxy\r\n")
            notes.end(.via, &lines, out)
        }
        if let requestID {
            notes.begin(out)
            out.write("x-request-id: ")
            requestID.write(into: &out)
            out.write("\r\n")
            notes.end(.requestID, &lines, out)
        }
        writeTrace(trace, listener.tracing.inject, traceState, &notes, &lines, into: &out)
        out.write("\r\n")
    }

    private static func writeTrace(
        _ trace: TraceContext, _ formats: FormatList, _ traceState: borrowing TraceState, _ notes: inout LineNotes,
        _ lines: inout SentLines, into out: inout OutputSpan<UInt8>
    ) {
        guard notes.isWanted else {
            Injection.write(trace, formats: formats, into: &out)
            if formats.contains(.traceContext) { traceState.write(into: &out) }
            return
        }
        notes.begin(out)
        Injection.write(trace, formats: formats, into: &out) { field, out in
            notes.end(FieldKind(field), &lines, out)
            notes.begin(out)
        }
        if formats.contains(.traceContext), traceState.write(into: &out) { notes.end(.tracestate, &lines, out) }
    }

    /// Whether the request line goes on as it came, in one piece with the lines behind it: HTTP/1.1, with a path for its
    /// target. The parser takes no other blanks in it than we would write.
    private static func keepsRequestLine(_ head: RequestHead, _ route: RouteContext) -> Bool {
        head.minorVersion == 1 && head.path == head.target && route.pathReplacement.isEmpty
    }

    private static func writeRequestLine(
        _ bytes: Span<UInt8>, head: RequestHead, route: RouteContext, into out: inout OutputSpan<UInt8>
    ) {
        out.write(bytes.extracting(head.methodText.range))
        out.write(" ")
        let path = bytes.extracting(head.path.range)
        if !route.pathReplacement.isEmpty {
            let replacement = route.pathReplacement
            out.write(replacement.span)
            // bounded: the lesser of the two
            out.write(path.extracting(min(route.replacedPathCount(path), path.count)..<path.count))
        } else {
            if head.pathCount == 0 { out.write("/") }  // absolute-form may have no path
            out.write(path)
        }
        out.write(" HTTP/1.1\r\n")
    }

    /// Copies runs of lines that go on as they came; a run ends where a line is left out or rewritten.
    ///
    /// - Parameter start: where the first run begins: with the first line, or before it.
    /// - Returns: whether a Host was among them.
    // bounded: a run goes from line to line, in the order of the bytes
    private static func writeFields(
        _ bytes: Span<UInt8>, from start: Int, fields: borrowing FieldTable, route: RouteContext,
        _ notes: LineNotes, _ lines: inout SentLines, into out: inout OutputSpan<UInt8>
    ) -> Bool {
        guard fields.count > 0 else { return false }
        var run = start
        var hasHost = false
        let keepsHost = route.hostReplacement.isEmpty
        // All lines but the notable ones go on as they came, unless one was marked.
        let looksAtAll = notes.isWanted || fields.isAnyOtherRemoved
        var next = looksAtAll ? 0 : fields.firstNotable
        while next < fields.count {
            let field = fields[next]
            next = looksAtAll ? next + 1 : Int(field.nextNotable)
            let isHost = field.kind == .host
            if isHost { hasHost = true }
            if field.isForwarded, !isHost || keepsHost {
                if notes.isWanted { lines.append(field, movedBy: out.count - run) }
                continue
            }
            let line = field.line.range
            out.write(bytes.extracting(run..<line.lowerBound))
            run = line.upperBound
            guard field.isForwarded else { continue }
            var rewritten = notes
            rewritten.begin(out)
            out.write(bytes.extracting(field.name.range))
            out.write(": ")
            let host = route.hostReplacement
            out.write(host.span)
            out.write("\r\n")
            rewritten.end(.host, &lines, out)
        }
        out.write(bytes.extracting(run..<fields[fields.count - 1].line.end))
        return hasHost
    }

    /// HTTP/1.0 may come without Host, 1.1 may not go without one (RFC 9112 §3.2): the route's, else that of the
    /// target in absolute form, else the upstream's.
    private static func writeHost(
        _ bytes: Span<UInt8>, head: RequestHead, route: RouteContext, into out: inout OutputSpan<UInt8>
    ) {
        let host = route.hostReplacement.isEmpty ? route.upstreamAuthority : route.hostReplacement
        out.write("Host: ")
        if route.hostReplacement.isEmpty, !head.authority.isEmpty {
            out.write(bytes.extracting(head.authority.range))
        } else {
            out.write(host.span)
        }
        out.write("\r\n")
    }

    /// The one transfer coding a request may ask for over HTTP/2 (RFC 9113 §8.2.2); gRPC servers insist on it.
    private static func takesTrailers(_ bytes: Span<UInt8>, _ fields: borrowing FieldTable) -> Bool {
        for index in 0..<fields.count where fields[index].kind == .te {
            if lowercasedEquals(bytes.extracting(fields[index].value.range), "trailers") { return true }
        }
        return false
    }

    private static func writeForwarded(
        _ bytes: Span<UInt8>, head: RequestHead, fields: borrowing FieldTable, downstream: DownstreamConnection,
        _ notes: inout LineNotes, _ lines: inout SentLines, into out: inout OutputSpan<UInt8>
    ) {
        let policy = downstream.forwardedPolicy
        guard policy != .off else { return }
        var hasProto = false
        var hasHost = false
        var surplus = downstream.worker.surplusForwardedCount
        notes.begin(out)
        out.write("X-Forwarded-For: ")
        var next = policy == .append ? fields.firstNotable : fields.count
        while next < fields.count {
            let field = fields[next]
            next = Int(field.nextNotable)
            switch field.kind {
            case .forwardedFor where !field.value.isEmpty:
                let list = bytes.extracting(field.value.range)
                if surplus > 0 {
                    writeRest(of: list, without: &surplus, into: &out)
                } else {
                    out.write(list)
                    out.write(", ")
                }
            case .forwardedProto: hasProto = true
            case .forwardedHost: hasHost = true
            default: break
            }
        }
        writePeer(downstream.peerText, into: &out)
        out.write("\r\n")
        notes.end(.forwardedFor, &lines, out)
        if !hasProto {
            notes.begin(out)
            out.write(
                downstream.security == nil ? "X-Forwarded-Proto: http\r\n" : "X-Forwarded-Proto: https\r\n")
            notes.end(.forwardedProto, &lines, out)
        }
        if !hasHost, !head.authority.isEmpty {
            notes.begin(out)
            out.write("X-Forwarded-Host: ")
            out.write(bytes.extracting(head.authority.range))
            out.write("\r\n")
            notes.end(.forwardedHost, &lines, out)
        }
    }

    /// The caller's certificate, behind what a trusted caller said of its own caller if that is to go on.
    private static func writeCertificate(
        _ security: DownstreamSecurity, _ bytes: Span<UInt8>, fields: borrowing FieldTable,
        of downstream: DownstreamConnection, into out: inout OutputSpan<UInt8>
    ) {
        out.write("X-Forwarded-Client-Cert: ")
        if downstream.isTrusted, downstream.listener.callerCertificateField == .appendForward {
            for index in 0..<fields.count where fields[index].kind == .forwardedClientCertificate {
                guard !fields[index].value.isEmpty else { continue }
                out.write(bytes.extracting(fields[index].value.range))
                out.write(",")
            }
        }
        let element = security.certificateElement
        out.write(element.span)
        out.write("\r\n")
    }

    /// - Parameter surplus: the oldest entries of all lists, which are not wanted; falls by those of this one.
    private static func writeRest(
        of list: Span<UInt8>, without surplus: inout Int, into out: inout OutputSpan<UInt8>
    ) {
        let count = ForwardedList.entryCount(list)
        let dropped = min(surplus, count)
        surplus -= dropped
        guard dropped < count else { return }
        out.write(ForwardedList.dropping(dropped, from: list))
        out.write(", ")
    }

    private static func writePeer(_ peer: borrowing IPText, into out: inout OutputSpan<UInt8>) {
        if peer.isEmpty { out.write("unknown") } else { out.write(peer.span) }
    }
}
