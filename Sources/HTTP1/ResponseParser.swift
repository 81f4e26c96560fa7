// SPDX-License-Identifier: Apache-2.0

/// A response head: ranges into the receive buffer, and what its fields mean (RFC 9112 §§4–6, 9).
public struct ResponseHead: BitwiseCopyable, Equatable, Sendable {
    /// 100 to 999.
    public var status: UInt16
    /// 0 or 1.
    public var minorVersion: UInt8
    /// With its CRLF.
    public var statusLine: ByteRange
    /// The text after the code; may be empty.
    public var reason: ByteRange
    /// Given the request's method: HEAD, 1xx, 204 and 304 have no body, whatever the fields say.
    public var framing: BodyFraming
    /// The value of Content-Length, also where there is no body to measure.
    public var declaredLength: UInt64?
    /// The upstream connection may be used again once the body has ended (RFC 9112 §9.3).
    public var keepAlive: Bool
    /// The value of Upgrade in a 101; empty otherwise, and in a 101 that does not say which protocol.
    public var upgrade: ByteRange
    /// Content-Length had leading zeros; its line is marked removed, write ``declaredLength`` instead.
    public var needsLength: Bool
    /// `false`: every byte of the head may be passed on as it is.
    public var needsRewrite: Bool
    /// Bytes of the head, with the empty line that ends it.
    public var length: UInt32

    /// Nothing follows the head, as its HTTP/2 stream has said.
    ///
    /// - Parameter saysLength: the receiver has to be told in so many words.
    public mutating func endWithHead(saysLength: Bool) {
        guard framing == .untilClose else { return }
        framing = .none
        guard saysLength else { return }
        framing = .length(0)
        declaredLength = 0
        needsLength = true
        needsRewrite = true
    }
}

/// Parses a response head strictly; see ``parseRequestHead(_:alreadySeen:limits:fields:)``.
///
/// - Parameter requestMethod: of the request this answers; decides whether a body follows.
public func parseResponseHead(
    _ bytes: Span<UInt8>, alreadySeen: Int, requestMethod: Method, limits: HeadLimits, fields: inout FieldTable
) throws(SyntaxError) -> HeadProgress<ResponseHead> {
    fields.removeAll()
    guard isWorthParsing(bytes, alreadySeen: alreadySeen, limits: limits) else {
        return try incomplete(bytes, limits: limits)
    }
    var cursor = Cursor(end: bytes.count)
    guard let line = try cursor.takeStatusLine(in: bytes) else { return try incomplete(bytes, limits: limits) }
    var summary = FieldSummary()
    guard try cursor.takeFields(in: bytes, limits: limits, fields: &fields, summary: &summary, ofRequest: false) else {
        return try incomplete(bytes, limits: limits)
    }
    try summary.finish(minorVersion: line.minorVersion, in: bytes, fields: &fields)
    return .complete(
        try responseHead(line, summary, method: requestMethod, length: cursor.position, in: bytes, fields: &fields))
}

/// Reads a response head whose lines are known; see ``readRequestHead(_:lines:limits:fields:)``.
public func readResponseHead(
    _ bytes: Span<UInt8>, lines: borrowing HeadLines, requestMethod: Method, limits: HeadLimits,
    fields: inout FieldTable
) throws(SyntaxError) -> ResponseHead {
    fields.removeAll()
    guard lines.headCount <= limits.headBytes else { throw .headTooLarge }
    var cursor = Cursor(end: min(lines.headCount, bytes.count))
    guard let line = try cursor.takeStatusLine(in: bytes) else { throw .invalidStatusLine }
    var summary = FieldSummary()
    try fields.fill(with: lines, of: bytes, limit: limits.fieldCount, summary: &summary, ofRequest: false)
    try summary.finish(minorVersion: line.minorVersion, in: bytes, fields: &fields)
    return try responseHead(line, summary, method: requestMethod, length: lines.headCount, in: bytes, fields: &fields)
}

struct StatusLine: BitwiseCopyable {
    var status: UInt16
    var minorVersion: UInt8
    var line: ByteRange
    var reason: ByteRange
    /// Ends right after the code, without the space the grammar asks for.
    var lacksSpace: Bool
}

extension Cursor {
    /// `version SP code SP [reason] CRLF`; the second space may be missing (RFC 9112 §4).
    mutating func takeStatusLine(in bytes: Span<UInt8>) throws(SyntaxError) -> StatusLine? {
        let start = position
        guard let minorVersion = try takeVersion(in: bytes, malformed: .invalidStatusLine) else { return nil }
        let rest = bytes.extracting(position..<end)  // bounded: where the cursor is
        guard !rest.isEmpty else { return nil }
        guard rest[0] == space else { throw .invalidStatusLine }
        var status: UInt16 = 0
        for index in 1...3 {
            guard index < rest.count else { return nil }
            guard isDigit(rest[index]) else { throw .invalidStatusLine }
            status = status &* 10 &+ UInt16(rest[index] &- UInt8(ascii: "0"))
        }
        guard status >= 100 else { throw .invalidStatusLine }
        guard rest.count > 4 else { return nil }
        let lacksSpace = rest[4] != space
        skip(lacksSpace ? 4 : 5)
        let reason = lacksSpace ? position..<position : takeValue(in: bytes)
        guard try takeLineEnd(in: bytes, otherwise: .invalidStatusLine) != nil else { return nil }
        return StatusLine(
            status: status, minorVersion: minorVersion, line: ByteRange(start..<position), reason: ByteRange(reason),
            lacksSpace: lacksSpace)
    }
}

private func responseHead(
    _ line: StatusLine, _ summary: FieldSummary, method: Method, length: Int, in bytes: Span<UInt8>,
    fields: inout FieldTable
) throws(SyntaxError) -> ResponseHead {
    let isInterim = line.status < 200
    let hasLength = summary.contentLength != nil || summary.isChunked
    guard !isInterim || !hasLength else { throw .lengthInInterimResponse }
    let forbidsLength = line.status == 204 && hasLength
    if forbidsLength || !summary.isLengthCanonical { fields.removeLengthLine() }
    let framing = responseFraming(line.status, summary, method: method)
    return ResponseHead(
        status: line.status, minorVersion: line.minorVersion, statusLine: line.line,
        reason: line.reason, framing: framing, declaredLength: summary.contentLength,
        keepAlive: summary.keepAlive(minorVersion: line.minorVersion) && framing != .untilClose && !forbidsLength,
        upgrade: line.status == 101 && summary.connection.upgrade ? summary.upgrade : .empty,
        needsLength: !summary.isLengthCanonical && !forbidsLength,
        needsRewrite: summary.isAnyRemoved || forbidsLength || !summary.isLengthCanonical || line.minorVersion == 0
            || line.lacksSpace,
        length: UInt32(truncatingIfNeeded: length))
}

/// RFC 9112 §6.3, items 1, 4, 6 and 8.
private func responseFraming(_ status: UInt16, _ summary: FieldSummary, method: Method) -> BodyFraming {
    if method == .head || status < 200 || status == 204 || status == 304 { return .none }
    if summary.isChunked { return .chunked }
    guard let length = summary.contentLength else { return .untilClose }
    return .length(length)
}
