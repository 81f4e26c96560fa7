// SPDX-License-Identifier: Apache-2.0

/// A message of an input's bytes as HTTP/2 knows it: lines of `name:value`, an empty one, the same for trailers if there
/// are any, then the body. A vertical tab stands for a line feed.
struct FieldList {
    private(set) var head: [RawField] = []
    private(set) var trailers: [RawField]?
    private(set) var body: [UInt8] = []

    init(_ input: ArraySlice<UInt8>, hasTrailers: Bool, pseudo: [RawField]) {
        var rest = input
        head = Self.fields(&rest)
        if hasTrailers { trailers = Self.fields(&rest) }
        body = Array(rest)
        if !head.contains(where: \.isPseudo) { head = pseudo + head }
    }

    private static func fields(_ rest: inout ArraySlice<UInt8>) -> [RawField] {
        var fields: [RawField] = []
        while !rest.isEmpty {
            var line = rest.prefix { $0 != 10 }
            rest = rest.dropFirst(line.count + 1)
            if line.last == 13 { line.removeLast() }
            guard !line.isEmpty else { break }
            let name = line.prefix(1) + line.dropFirst().prefix { $0 != UInt8(ascii: ":") }
            fields.append(RawField(plain(name), plain(line.dropFirst(name.count + 1))))
        }
        return fields
    }

    private static func plain(_ bytes: ArraySlice<UInt8>) -> [UInt8] { bytes.map { $0 == 11 ? 10 : $0 } }

    /// The frames of it, which end the stream.
    func frames(stream: UInt32, size: Int) -> [UInt8] {
        let endsWithHead = body.isEmpty && trailers == nil
        let flags = endsWithHead ? Frames.endStream : 0
        var frames = Frames.head(Frames.block(head), flags: flags, stream: stream)
        if endsWithHead { return frames }
        frames += Frames.body(body, ends: trailers == nil, stream: stream, size: size)
        guard let trailers else { return frames }
        return frames + Frames.head(Frames.block(trailers), flags: Frames.endStream, stream: stream)
    }

    /// The lines its head must become: pseudo-fields first, then the rest in order, pieces of Cookie joined at the end
    /// of a request.
    func lines(isRequest: Bool) -> [[UInt8]] {
        func pseudo(_ name: String) -> [UInt8] { head.first { $0.isNamed(name) }?.value ?? [] }
        var lines: [[UInt8]]
        if isRequest {
            lines = [pseudo(":method") + [32] + pseudo(":path") + Array(" HTTP/1.1".utf8)]
            if head.contains(where: { $0.isNamed(":authority") }) { lines += [line("host", pseudo(":authority"))] }
        } else {
            lines = [Array("HTTP/1.1 ".utf8) + pseudo(":status") + [32]]
        }
        let hasAuthority = !pseudo(":authority").isEmpty
        for field in head where !field.isPseudo && !isLeftOut(field) {
            if isRequest, field.isNamed("cookie") || field.isNamed("host") && hasAuthority { continue }
            lines.append(field.name + [58, 32] + field.value)
        }
        let cookies = head.filter { isRequest && $0.isNamed("cookie") }.map(\.value).filter { !$0.isEmpty }
        if !cookies.isEmpty { lines.append(line("cookie", Array(cookies.joined(separator: [59, 32])))) }
        return lines
    }

    var trailerLines: [UInt8] {
        Array((trailers ?? []).filter { !isLeftOut($0) }.map { $0.name + [58, 32] + $0.value + [13, 10] }.joined())
    }

    /// Content-Length of a 204, which may have none (RFC 9110 section 8.6): libnghttp2 forgives and drops one of 0.
    private func isLeftOut(_ field: RawField) -> Bool {
        field.isNamed("content-length")
            && head.contains { $0.isNamed(":status") && $0.value.elementsEqual("204".utf8) }
    }

    private func line(_ name: String, _ value: [UInt8]) -> [UInt8] { Array("\(name): ".utf8) + value }
}
