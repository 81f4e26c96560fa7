// SPDX-License-Identifier: Apache-2.0
import HTTP1

/// The field lines of a trailer section, each with its CRLF.
enum TrailerLines {
    /// Those that go on: trace fields are judged and written anew in heads, and end in trailers. Nor do fields go on that
    /// a receiver could merge into the head and trust (RFC 9110 §6.5.1); HTTP/2 lets a peer send them.
    static func forEachForwarded(_ lines: Span<UInt8>, _ body: (Span<UInt8>) -> Void) {
        var start = 0
        while start < lines.count {
            let line = line(at: start, in: lines)
            start += line.count
            if goesOn(line) { body(line) }
        }
    }

    @_lifetime(copy lines)
    private static func line(at start: Int, in lines: Span<UInt8>) -> Span<UInt8> {
        var end = start
        while end < lines.count, lines[end] != UInt8(ascii: "\n") { end += 1 }
        return lines.extracting(start..<min(end + 1, lines.count))  // bounded: end starts at start, which has a line
    }

    private static func goesOn(_ line: Span<UInt8>) -> Bool {
        var colon = 0
        while colon < line.count, line[colon] != UInt8(ascii: ":") { colon += 1 }
        let kind = FieldKind(name: line.extracting(first: colon))
        return !kind.isTraceField && !kind.isForbiddenInTrailers
    }
}
