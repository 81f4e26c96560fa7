// SPDX-License-Identifier: Apache-2.0

/// The head of every post to one collector, but for its length.
struct PostRequest {
    private let prefix: [UInt8]
    private let suffix: [UInt8]

    init(_ configuration: ExporterConfiguration, version: String) {
        let endpoint = configuration.endpoint
        prefix = Array(
            """
            POST \(endpoint.path.text) HTTP/1.1\r
            Host: \(endpoint.authority)\r
            User-Agent: propagating-proxy/\(version)\r
            Content-Type: \(configuration.encoding.contentType)\r
            Content-Length: 
            """.utf8)
        // Without `b3: 0` every sidecar on the way would trace the tracing.
        var text = "\r\nb3: 0\r\n"
        for (name, value) in configuration.headers { text += "\(name): \(value.text)\r\n" }
        suffix = Array((text + "\r\n").utf8)
    }

    /// Head and body.
    func write(_ body: borrowing ByteWriter, into out: inout ByteWriter) {
        out.append(prefix)
        out.append(decimal: UInt64(body.count))
        out.append(suffix)
        out.append(body)
    }
}
