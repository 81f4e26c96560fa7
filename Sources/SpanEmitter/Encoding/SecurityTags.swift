// SPDX-License-Identifier: Apache-2.0

/// What spans say of TLS, by OpenTelemetry's names in every profile.
extension TagWriter {
    /// Of a span whose connection was secured, or was to be. A SERVER span has the names the caller gave, a CLIENT span
    /// the one the upstream had to prove.
    func writeSecurity<Format: SpanFormat>(
        _ span: inout SpanRecord, _ format: inout Format, _ out: inout ByteWriter
    ) {
        format.tag("tls.protocol.name", ready: text(Word.tls), into: &out)
        if span.security != .unfinished {
            format.tag("tls.protocol.version", ready: text(span.security), into: &out)
            format.tag("tls.resumed", flag: span.security.isResumed, into: &out)
        }
        guard span.kind == .server else {
            let name = serverName(ofUpstream: span.upstream)
            return format.tag("tls.client.server_name", ready: name, into: &out, unlessEmpty: true)
        }
        format.tag("tls.client.server_name", span.texts.serverName, into: &out, unlessEmpty: true)
        format.tag("tls.client.subject", span.texts.certificateName, into: &out, unlessEmpty: true)
    }
}
