// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import HTTP2

/// Writes the response head that goes downstream, when the received one cannot go as it is.
enum ResponseWriter {
    /// What the downstream connection needs to be told.
    struct Changes: BitwiseCopyable, Equatable {
        var writesChunks = false
        /// `Connection: close`: this proxy closes after the response (RFC 9112 §9.6).
        var closes = false
        /// `Connection: keep-alive`: an HTTP/1.0 downstream asked for it.
        var keepsAlive10 = false
        /// `Connection: Upgrade` and the protocol, on a 101.
        var upgrades = false
        var addsVia = false
    }

    /// The most bytes added to a head.
    static let addedByteCount = 256

    /// Whether every byte of the head may be passed on unchanged.
    static func canPassOn(_ head: ResponseHead, _ changes: Changes) -> Bool {
        !head.needsRewrite && changes == Changes()
    }

    /// Writes a head for a stream, whose connection needs to be told nothing.
    static func write(
        _ bytes: Span<UInt8>, head: ResponseHead, fields: borrowing FieldTable, addsVia: Bool,
        lines: inout SentLines, toStream out: inout OutputSpan<UInt8>
    ) {
        var notes = LineNotes(isWanted: true)
        if !head.needsRewrite {
            out.write(bytes.extracting(first: Int(head.length) - 2))  // all but the empty line
            for index in 0..<fields.count { lines.append(fields[index], movedBy: 0) }
        } else {
            writeStatusLine(bytes.extracting(head.statusLine.range), into: &out)
            for index in 0..<fields.count where fields[index].isForwarded {
                let field = fields[index]
                lines.append(field, movedBy: out.count - Int(field.line.start))
                out.write(bytes.extracting(field.line.range))
            }
        }
        notes.begin(out)
        if writeLength(head, into: &out) { notes.end(.contentLength, &lines, out) }
        notes.begin(out)
        if addsVia {
            writeVia(head, into: &out)
            notes.end(.via, &lines, out)
        }
        out.write("\r\n")
    }

    static func write(
        _ bytes: Span<UInt8>, head: ResponseHead, fields: borrowing FieldTable, changes: Changes,
        into out: inout OutputSpan<UInt8>
    ) {
        writeStatusLine(bytes.extracting(head.statusLine.range), into: &out)
        for index in 0..<fields.count where fields[index].isForwarded {
            out.write(bytes.extracting(fields[index].line.range))
        }
        _ = writeLength(head, into: &out)
        if changes.writesChunks { out.write("Transfer-Encoding: chunked\r\n") }
        if changes.upgrades {
            out.write("Connection: Upgrade\r\nUpgrade: ")
            out.write(bytes.extracting(head.upgrade.range))
            out.write("\r\n")
        } else if changes.closes {
            out.write("Connection: close\r\n")
        } else if changes.keepsAlive10 {
            out.write("Connection: keep-alive\r\n")
        }
        if changes.addsVia { writeVia(head, into: &out) }
        out.write("\r\n")
    }

    /// - Returns: whether it had to be written.
    private static func writeLength(_ head: ResponseHead, into out: inout OutputSpan<UInt8>) -> Bool {
        guard head.needsLength, let length = head.declaredLength else { return false }
        out.write("Content-Length: ")
        out.write(decimal: length)
        out.write("\r\n")
        return true
    }

    private static func writeVia(_ head: ResponseHead, into out: inout OutputSpan<UInt8>) {
        out.write(head.minorVersion == 0 ? "Via: 1.0 propagating-proxy\r\n" : "Via: 1.1 propagating-proxy\r\n")
    }

    /// Our own version (RFC 9110 §2.5), the code and the reason as they came; the space after the
    /// code is required even without a reason (RFC 9112 §4).
    private static func writeStatusLine(_ line: Span<UInt8>, into out: inout OutputSpan<UInt8>) {
        out.write("HTTP/1.1")
        let rest = line.extracting(min(8, line.count)..<line.count)  // bounded: the lesser of the two
        let needsSpace = rest.count == 6  // " 200\r\n"
        if needsSpace {
            out.write(rest.extracting(first: 4))
            out.write(" \r\n")
        } else {
            out.write(rest)
        }
    }
}
