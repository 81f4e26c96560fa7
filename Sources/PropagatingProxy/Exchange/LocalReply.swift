// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1

/// A response this proxy makes itself: a status and one line of text with the reason.
enum LocalReply {
    /// - Parameter detail: goes behind the reason, on the same line.
    static func write(
        status: UInt16, reason: StaticString, detail: StaticString = "", isHead: Bool, closes: Bool,
        into out: inout OutputSpan<UInt8>
    ) {
        writeHead(
            status: status, bodyCount: reason.utf8CodeUnitCount + detail.utf8CodeUnitCount + 1, closes: closes,
            into: &out)
        guard !isHead else { return }
        out.write(reason)
        out.write(detail)
        out.write("\n")
    }

    /// A reply with a body of the configuration's.
    static func write(
        status: UInt16, body: Span<UInt8>, isHead: Bool, closes: Bool, into out: inout OutputSpan<UInt8>
    ) {
        writeHead(status: status, bodyCount: body.count, closes: closes, into: &out)
        if !isHead { out.write(body) }
    }

    private static func writeHead(status: UInt16, bodyCount: Int, closes: Bool, into out: inout OutputSpan<UInt8>) {
        out.write("HTTP/1.1 ")
        out.write(decimal: UInt64(status))
        out.write(" ")
        out.write(reasonPhrase(status))
        out.write("\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ")
        out.write(decimal: UInt64(bodyCount))
        if status == 405 { out.write("\r\nAllow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH") }
        if closes { out.write("\r\nConnection: close") }
        out.write("\r\n\r\n")
    }

    /// RFC 9110 §15.
    private static func reasonPhrase(_ status: UInt16) -> StaticString {
        switch status {
        case 200: "OK"
        case 204: "No Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 400: "Bad Request"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 417: "Expectation Failed"
        case 421: "Misdirected Request"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        case 508: "Loop Detected"
        default: "Local Reply"
        }
    }
}
