// SPDX-License-Identifier: Apache-2.0

/// What spans say of TLS, by OpenTelemetry's names in every profile.
extension TagWriter {
    /// Of a span whose connection was secured, or was to be. A SERVER span has the names the caller gave, a CLIENT span
    /// the one the upstream had to prove.
    func writeSecurity<Format: SpanFormat>(
        _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        format.tag("tls.protocol.name", words[Word.tls.rawValue], into: &out)  // bounded: a table
        if span.security != .unfinished {
            format.tag("tls.protocol.version", securities[Int(span.security.rawValue)], into: &out)  // bounded: a table
            format.tag("tls.resumed", flag: span.security.isResumed, into: &out)
        }
        guard span.kind == .server else {
            let name = serverNames[Int(span.upstream)]  // bounded: a table
            return format.tag("tls.client.server_name", name, into: &out, unlessEmpty: true)
        }
        format.tag("tls.client.server_name", span.texts.serverName, into: &out, unlessEmpty: true)
        format.tag("tls.client.subject", span.texts.certificateName, into: &out, unlessEmpty: true)
    }
}
