// SPDX-License-Identifier: Apache-2.0
import TLS

/// Names of the certificates of one listener: which of two would be shown must not be a matter of luck.
struct CertificateNames {
    private var known: [String: [CertificateFacts.KeyKind]] = [:]

    /// - Returns: a name that an earlier certificate with a key of the same kind has too.
    mutating func add(_ facts: CertificateFacts) -> String? {
        var taken: String?
        for name in facts.dnsNames + facts.addresses {
            if known[name, default: []].contains(facts.keyKind) {
                taken = taken ?? name
            } else {
                known[name, default: []].append(facts.keyKind)
            }
        }
        return taken
    }
}
