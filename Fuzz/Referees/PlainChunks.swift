// SPDX-License-Identifier: Apache-2.0

/// The chunked coding (RFC 9112 §7.1) read as a person would: line by line, the whole body at hand. The product's
/// decoder is compared with it, so the two share no code.
struct PlainChunks: Equatable {
    enum End: Equatable { case whole, cut, malformed }

    private(set) var body: [UInt8] = []
    /// Each line with its CRLF.
    private(set) var trailers: [UInt8] = []
    private(set) var end = End.cut
    /// Of the coding, when it is whole.
    private(set) var byteCount = 0

    var passedTrailers: [UInt8] { Self.passed(trailers) }

    /// The trailers that go on: fields of a trace end at this hop, and those that could pass for a head's.
    static func passed(_ trailers: [UInt8]) -> [UInt8] {
        var passed: [UInt8] = []
        for line in trailers.split(separator: 10) {
            let name = String(decoding: line.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self).lowercased()
            if !traceFields.contains(name), !forbiddenTrailers.contains(name) { passed += line + [10] }
        }
        return passed
    }

    private static let traceFields: Set<String> = [
        "b3", "traceparent", "tracestate", "x-request-id", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid",
        "x-b3-sampled", "x-b3-flags",
    ]

    /// - Parameter maximum: bytes of all extensions, and of the trailer lines.
    init(_ bytes: ArraySlice<UInt8>, maximum: (extensions: Int, trailers: Int) = (4096, 8192)) {
        var reader = LineReader(bytes)
        do {
            var extensionRoom = maximum.extensions
            while let count = try Self.size(of: reader.line(), &extensionRoom) {
                let data = reader.take(count)
                body += data
                guard data.count == count else { throw LineReader.Cut() }
                guard try reader.line().isEmpty else { throw LineReader.Malformed() }
            }
            while case let line = try reader.line(), !line.isEmpty {
                guard !Self.forbiddenTrailers.contains(try PlainField(line).name) else { throw LineReader.Malformed() }
                trailers += line + [13, 10]
                guard trailers.count <= maximum.trailers else { throw LineReader.Malformed() }
            }
            (end, byteCount) = (.whole, reader.position - bytes.startIndex)
        } catch {
            end = error is LineReader.Cut ? .cut : .malformed
        }
    }

    /// `nil` is the last chunk.
    private static func size(of line: ArraySlice<UInt8>, _ extensionRoom: inout Int) throws -> Int? {
        let digits = line.prefix { hexDigitValue($0) != nil }
        extensionRoom -= line.count - digits.count
        guard (1...15).contains(digits.count), extensionRoom >= 0, isExtensions(line.dropFirst(digits.count)) else {
            throw LineReader.Malformed()
        }
        let size = digits.reduce(0) { $0 * 16 + (hexDigitValue($1) ?? 0) }
        return size == 0 ? nil : size
    }

    /// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )` (RFC 9112 §7.1.1).
    private static func isExtensions(_ line: ArraySlice<UInt8>) -> Bool {
        var rest = line
        while !rest.isEmpty {
            guard skipBlanks(rest).first == UInt8(ascii: ";") else { return false }
            rest = skipBlanks(skipBlanks(rest).dropFirst())
            guard let name = dropToken(rest) else { return false }
            rest = name
            guard skipBlanks(rest).first == UInt8(ascii: "=") else { continue }
            rest = skipBlanks(skipBlanks(rest).dropFirst())
            guard let value = dropToken(rest) ?? dropQuoted(rest) else { return false }
            rest = value
        }
        return true
    }

    private static func skipBlanks(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> { text.drop { $0 == 32 || $0 == 9 } }

    private static func dropToken(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        let rest = text.drop(while: isTokenByte)
        return rest.count < text.count ? rest : nil
    }

    private static func dropQuoted(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard text.first == UInt8(ascii: "\"") else { return nil }
        var rest = text.dropFirst()
        while let byte = rest.popFirst(), byte == 9 || byte >= 32 && byte != 127 {
            if byte == UInt8(ascii: "\"") { return rest }
            guard byte == UInt8(ascii: "\\") else { continue }
            guard let next = rest.popFirst(), next == 9 || next >= 32 && next != 127 else { return nil }
        }
        return nil
    }

    /// Framing, routing and credential fields (RFC 9110 §6.5.1).
    private static let forbiddenTrailers: Set<String> = [
        "host", "content-length", "transfer-encoding", "expect", "connection", "keep-alive", "proxy-connection", "te",
        "trailer", "upgrade", "http2-settings", "authorization", "proxy-authorization", "cookie", "set-cookie",
        "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
    ]
}
