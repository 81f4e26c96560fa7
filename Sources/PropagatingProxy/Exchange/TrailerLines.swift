// SPDX-License-Identifier: Apache-2.0
import HTTP1

/// The field lines of a trailer section, each with its CRLF.
enum TrailerLines {
    /// Those that go on: trace fields are judged and written anew in heads, and end in trailers.
    static func forEachForwarded(_ lines: Span<UInt8>, _ body: (Span<UInt8>) -> Void) {
        var start = 0
        while start < lines.count {
            let line = line(at: start, in: lines)
            start += line.count
            if !carriesTrace(line) { body(line) }
        }
    }

    @_lifetime(copy lines)
    private static func line(at start: Int, in lines: Span<UInt8>) -> Span<UInt8> {
        var end = start
        while end < lines.count, lines[end] != UInt8(ascii: "\n") { end += 1 }
        return lines.extracting(start..<min(end + 1, lines.count))  // bounded: end starts at start, which has a line
    }

    private static func carriesTrace(_ line: Span<UInt8>) -> Bool {
        var colon = 0
        while colon < line.count, line[colon] != UInt8(ascii: ":") { colon += 1 }
        return FieldKind(name: line.extracting(first: colon)).isTraceField
    }
}
