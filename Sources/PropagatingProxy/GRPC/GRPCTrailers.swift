// SPDX-License-Identifier: Apache-2.0
import HTTP1
import SpanEmitter

/// The trailer section that ends a gRPC call.
enum GRPCTrailers {
    private static let name = "grpc-status"

    /// The call's status; ``GRPCStatus/missing`` if no line tells one. Of several the first counts.
    ///
    /// - Parameter lines: each `name: value CRLF`.
    // bounded: start and end stay inside the lines
    static func status(in lines: Span<UInt8>) -> GRPCStatus {
        var start = 0
        while start < lines.count {
            var end = start
            while end < lines.count, lines[end] != UInt8(ascii: "\n") { end += 1 }
            if let value = value(of: lines.extracting(start..<end)) { return GRPCStatus(text: value) }
            start = end + 1
        }
        return .missing
    }

    @_lifetime(copy line)
    private static func value(of line: Span<UInt8>) -> Span<UInt8>? {
        let colon = name.utf8.count
        // bounded: the line is longer than the name
        guard line.count > colon, line[colon] == UInt8(ascii: ":"),
            lowercasedEquals(line.extracting(first: colon), name)
        else { return nil }
        return trimmed(line.extracting(droppingFirst: colon + 1))
    }

    /// Without blanks around it, and without its CR.
    // bounded: start only rises to the end, end only falls to the start
    @_lifetime(copy text)
    private static func trimmed(_ text: Span<UInt8>) -> Span<UInt8> {
        var (start, end) = (0, text.count)
        while start < end, text[start] <= UInt8(ascii: " ") { start += 1 }
        while end > start, text[end - 1] <= UInt8(ascii: " ") { end -= 1 }
        return text.extracting(start..<end)
    }
}
