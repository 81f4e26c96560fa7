// SPDX-License-Identifier: Apache-2.0

/// A request head: ranges into the receive buffer, and what its fields mean (RFC 9112 §§2–6, 9).
public struct RequestHead: BitwiseCopyable, Equatable, Sendable {
    public var method: Method
    public var methodText: ByteRange
    /// As received.
    public var target: ByteRange
    /// What goes upstream: path and query, or `*`. An absolute-form target may have no path: if
    /// ``pathCount`` is 0, write `/` before it (it is then empty or begins with `?`).
    public var path: ByteRange
    /// Bytes of ``path`` before its `?`.
    public var pathCount: UInt32
    /// `host[:port]` from the target if it has one, else from Host; empty only for HTTP/1.0 without Host.
    public var authority: ByteRange
    /// 0 or 1.
    public var minorVersion: UInt8
    /// `untilClose` only of an HTTP/2 stream, which ends by itself.
    public var framing: BodyFraming
    /// The downstream connection lasts beyond the response (RFC 9112 §9.3).
    public var keepAlive: Bool
    /// HTTP/1.1 with `Expect: 100-continue` and a body to wait for (RFC 9110 §10.1.1).
    public var expectsContinue: Bool
    /// The value of Upgrade if this is a WebSocket handshake (RFC 6455 §4.1), else empty.
    public var upgrade: ByteRange
    /// Content-Length had leading zeros; its line is marked removed, write `framing`'s length instead.
    public var needsLength: Bool
    /// Bytes of the head, with leading empty lines and the empty line that ends it.
    public var length: UInt32
}

/// Parses a request head strictly.
///
/// Keeps no state between calls. A call that brings no line end, after the first few bytes, costs
/// only the new bytes; so a peer that sends one byte at a time cannot make us read all of them every time.
///
/// - Parameters:
///   - bytes: everything received and not consumed.
///   - alreadySeen: how many of them an earlier call saw; 0 for a new message.
///   - fields: cleared, then filled.
public func parseRequestHead(
    _ bytes: Span<UInt8>, alreadySeen: Int, limits: HeadLimits, fields: inout FieldTable
) throws(SyntaxError) -> HeadProgress<RequestHead> {
    fields.removeAll()
    guard isWorthParsing(bytes, alreadySeen: alreadySeen, limits: limits) else {
        return try incomplete(bytes, limits: limits)
    }
    var cursor = Cursor(end: bytes.count)
    guard let line = try cursor.takeRequestLine(in: bytes, limits: limits) else {
        return try incomplete(bytes, limits: limits)
    }
    var summary = FieldSummary()
    guard try cursor.takeFields(in: bytes, limits: limits, fields: &fields, summary: &summary, ofRequest: true) else {
        return try incomplete(bytes, limits: limits)
    }
    try summary.finish(minorVersion: line.minorVersion, in: bytes, fields: &fields)
    return .complete(
        try requestHead(
            line, summary, length: cursor.position, takesHTTPS: limits.takesHTTPS, in: bytes, fields: &fields))
}

/// Reads a request head whose lines are known; its text is complete at the front of the bytes.
///
/// Names and values are not looked at again: the writer of the lines has seen to it that they are such. All that they mean is judged as
/// by ``parseRequestHead(_:alreadySeen:limits:fields:)``.
public func readRequestHead(
    _ bytes: Span<UInt8>, lines: borrowing HeadLines, limits: HeadLimits, fields: inout FieldTable
) throws(SyntaxError) -> RequestHead {
    fields.removeAll()
    guard lines.headCount <= limits.headBytes else { throw .headTooLarge }
    var cursor = Cursor(end: min(lines.headCount, bytes.count))
    guard let line = try cursor.takeRequestLine(in: bytes, limits: limits) else { throw .invalidMethod }
    var summary = FieldSummary()
    try fields.fill(with: lines, of: bytes, limit: limits.fieldCount, summary: &summary, ofRequest: true)
    try summary.finish(minorVersion: line.minorVersion, in: bytes, fields: &fields)
    return try requestHead(
        line, summary, length: lines.headCount, takesHTTPS: limits.takesHTTPS, in: bytes, fields: &fields)
}

/// The first line of a request; the method and version are known to be good.
struct RequestLine: BitwiseCopyable {
    var method: Method
    var methodText: ByteRange
    var target: ByteRange
    /// It has neither `?` nor `%`.
    var isPlainTarget: Bool
    var minorVersion: UInt8
}

extension Cursor {
    /// Skips empty lines, then `method SP target SP version CRLF` (RFC 9112 §3).
    mutating func takeRequestLine(in bytes: Span<UInt8>, limits: HeadLimits) throws(SyntaxError) -> RequestLine? {
        var emptyLines = 0
        while peek(in: bytes) == carriageReturn {
            guard emptyLines < limits.emptyLines else { throw .tooManyEmptyLines }
            guard try takeLineEnd(in: bytes, otherwise: .invalidMethod) != nil else { return nil }
            emptyLines += 1
        }
        guard let (method, methodText) = try takeMethod(in: bytes, limits: limits) else { return nil }
        let (target, isPlain) = takeTarget(in: bytes)
        guard target.count <= limits.targetBytes else { throw .targetTooLong }
        guard let afterTarget = peek(in: bytes) else { return nil }
        guard !target.isEmpty, afterTarget == space else {
            throw !target.isEmpty && afterTarget == carriageReturn ? .missingVersion : .invalidTarget
        }
        skip(1)
        guard let minorVersion = try takeVersion(in: bytes),
            try takeLineEnd(in: bytes, otherwise: .invalidVersion) != nil
        else { return nil }
        guard method != .connect else { throw .connectRefused }
        guard method != .trace else { throw .traceRefused }
        return RequestLine(
            method: method, methodText: ByteRange(methodText), target: ByteRange(target), isPlainTarget: isPlain,
            minorVersion: minorVersion)
    }

    /// A method and the blank behind it.
    private mutating func takeMethod(
        in bytes: Span<UInt8>, limits: HeadLimits
    ) throws(SyntaxError) -> (Method, Range<Int>)? {
        let start = position
        if end - start >= 8, let (method, count) = Method.usual(Word(bytes, at: start)), count <= limits.methodBytes {
            skip(count + 1)
            return (method, start..<start + count)
        }
        let text = take(.token, in: bytes)
        guard text.count <= limits.methodBytes else { throw .methodTooLong }
        guard let delimiter = peek(in: bytes) else { return nil }
        guard delimiter == space, !text.isEmpty else { throw .invalidMethod }
        skip(1)
        return (Method(bytes, at: text), text)
    }
}

private func requestHead(
    _ line: RequestLine, _ summary: FieldSummary, length: Int, takesHTTPS: Bool, in bytes: Span<UInt8>,
    fields: inout FieldTable
) throws(SyntaxError) -> RequestHead {
    let target = try RequestTarget(
        line.target.range, isPlain: line.isPlainTarget, method: line.method, takesHTTPS: takesHTTPS, in: bytes)
    let framing = requestFraming(summary)
    let hasBody = framing != .none && framing != .length(0)
    if !summary.isLengthCanonical { fields.removeLengthLine() }
    return RequestHead(
        method: line.method, methodText: line.methodText, target: line.target,
        path: target.path, pathCount: target.pathCount,
        authority: try authority(target, summary, minorVersion: line.minorVersion, in: bytes),
        minorVersion: line.minorVersion, framing: framing,
        keepAlive: summary.keepAlive(minorVersion: line.minorVersion),
        expectsContinue: summary.expectsContinue && line.minorVersion == 1 && hasBody,
        upgrade: try webSocketUpgrade(line, summary, hasBody: hasBody, in: bytes),
        needsLength: !summary.isLengthCanonical,
        length: UInt32(truncatingIfNeeded: length))
}

private func requestFraming(_ summary: FieldSummary) -> BodyFraming {
    if summary.isChunked { return .chunked }
    guard let length = summary.contentLength else { return .none }
    return .length(length)
}

/// Host and the target's authority must agree, or two hops would route one request to two places
/// (RFC 9112 §§3.2, 3.2.2).
private func authority(
    _ target: RequestTarget, _ summary: FieldSummary, minorVersion: UInt8, in bytes: Span<UInt8>
) throws(SyntaxError) -> ByteRange {
    guard let host = summary.host else {
        guard minorVersion == 0 else { throw .missingHost }
        return target.authority
    }
    guard !target.authority.isEmpty else { return host }
    guard equalsInAnyCase(bytes.extracting(host.range), bytes.extracting(target.authority.range)) else {
        throw .hostMismatch
    }
    return target.authority
}

/// Only one protocol, only by the whole handshake; any other Upgrade is ignored, as RFC 9110 §7.8 allows.
private func webSocketUpgrade(
    _ line: RequestLine, _ summary: FieldSummary, hasBody: Bool, in bytes: Span<UInt8>
) throws(SyntaxError) -> ByteRange {
    guard line.method == .get, line.minorVersion == 1, summary.connection.upgrade,
        lowercasedEquals(bytes.extracting(summary.upgrade.range), "websocket")
    else { return .empty }
    guard !hasBody else { throw .upgradeWithBody }
    return summary.upgrade
}
