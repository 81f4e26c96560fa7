// SPDX-License-Identifier: Apache-2.0
import TLS

/// One element of X-Forwarded-Client-Cert, as Envoy writes it: `By=…;Hash=…;Subject="…";URI=…;DNS=…`.
enum CertificateElement {
    /// Bytes. A longer one goes without its subject, and then without its names.
    static let limit = 4096

    /// - Parameters:
    ///   - caller: the certificate the peer has shown.
    ///   - own: the one it was shown; its URIs say who vouches.
    static func make(_ caller: CertificateFacts, own: CertificateFacts?) -> [UInt8] {
        let vouching = (own?.uris ?? []).map { pair("By", $0) } + ["Hash=" + hex(caller.fingerprint)]
        let subject = ["Subject=\"" + quoted(caller.subject) + "\""]
        let names = caller.uris.map { pair("URI", $0) } + caller.dnsNames.map { pair("DNS", $0) }
        for parts in [vouching + subject + names, vouching + names, vouching] {
            let element = Array(parts.joined(separator: ";").utf8)
            if element.count <= limit { return element }
        }
        return Array("Hash=\(hex(caller.fingerprint))".utf8)
    }

    /// A value that could be taken for more than one stands in quotes.
    private static func pair(_ key: String, _ value: String) -> String {
        let isPlain = !value.utf8.contains { ",;=\" ".utf8.contains($0) }
        return isPlain ? "\(key)=\(value)" : "\(key)=\"\(quoted(value))\""
    }

    /// Each quote with a backslash before it, unless it has one; nothing that is not visible ASCII.
    private static func quoted(_ text: String) -> String {
        var result: [UInt8] = []
        var isEscaped = false
        for byte in text.utf8 where 0x20..<0x7F ~= byte {
            if byte == UInt8(ascii: "\""), !isEscaped { result.append(UInt8(ascii: "\\")) }
            result.append(byte)
            isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
        }
        if isEscaped { result.append(UInt8(ascii: "\\")) }  // or it would escape the closing quote
        return String(decoding: result, as: UTF8.self)
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
