// SPDX-License-Identifier: Apache-2.0

/// One answer of the admin listener, as the bytes to send.
struct AdminReply {
    var status: UInt16
    var phrase: String
    var contentType = "text/plain; charset=utf-8"
    var body: [UInt8]
    var allow: String?

    /// - Parameter text: one line, without its end.
    init(_ status: UInt16, _ phrase: String, _ text: String) {
        self.status = status
        self.phrase = phrase
        body = Array((text + "\n").utf8)
    }

    static let notFound = AdminReply(404, "Not Found", "not found")

    static var methodNotAllowed: AdminReply {
        var reply = AdminReply(405, "Method Not Allowed", "only GET and HEAD")
        reply.allow = "GET, HEAD"
        return reply
    }

    /// - Parameter withBody: false for HEAD, which gets the same head (RFC 9110 §9.3.2).
    func bytes(withBody: Bool) -> [UInt8] {
        var head = "HTTP/1.1 \(status) \(phrase)\r\nContent-Type: \(contentType)\r\nContent-Length: \(body.count)\r\n"
        if let allow { head += "Allow: \(allow)\r\n" }
        head += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        return Array(head.utf8) + (withBody ? body : [])
    }
}
