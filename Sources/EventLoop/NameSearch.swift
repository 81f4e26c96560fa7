// SPDX-License-Identifier: Apache-2.0

/// What resolv.conf(5) says about names that are not complete, and hosts(5) about names that need no server.
///
/// evdns searches on its own, but separately for IPv4 and IPv6: with a wildcard in a later domain
/// the two would name different machines. So the search is ours, and evdns gets whole names only.
struct NameSearch: Equatable {
    /// Domains to append, in order.
    var domains: [String] = []
    /// A name with at least so many dots is tried as it is first.
    var dots = 1

    /// - Parameter text: a resolv.conf; the last `search` or `domain` line holds.
    init(resolvConf text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            switch words.first {
            case "search": domains = words.dropFirst().filter { $0 != "." }.map(Self.withoutRoot)
            case "domain": domains = words.dropFirst().prefix(1).map(Self.withoutRoot)
            case "options":
                for word in words where word.hasPrefix("ndots:") {
                    dots = min(max(Int(word.dropFirst("ndots:".count)) ?? dots, 0), 15)  // as glibc bounds it
                }
            default: break
            }
        }
    }

    /// The whole names to ask for, best first; empty if no DNS query can carry `name`.
    func candidates(for name: String) -> [String] {
        if name.hasSuffix(".") { return [Self.withoutRoot(name[...])].filter(Self.isQueryable) }
        let searched = domains.map { "\(name).\($0)" }
        let isComplete = name.utf8.count { $0 == UInt8(ascii: ".") } >= dots
        return (isComplete ? [name] + searched : searched + [name]).filter(Self.isQueryable)
    }

    private static func withoutRoot(_ name: Substring) -> String {
        String(name.hasSuffix(".") ? name.dropLast() : name)
    }

    /// Labels of 1 to 63 bytes, 253 in all (RFC 1035 §2.3.4), printable.
    private static func isQueryable(_ name: String) -> Bool {
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        return name.utf8.count <= 253 && labels.allSatisfy { (1...63).contains($0.count) }
            && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
    }

    /// The addresses a hosts file gives a name, IPv4 before IPv6.
    static func addresses(of name: String, inHosts text: String, port: UInt16) -> [SocketAddress] {
        let wanted = withoutRoot(name[...]).lowercased()
        var found: [SocketAddress] = []
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard let first = words.first, words.dropFirst().contains(where: { $0.lowercased() == wanted }),
                let address = SocketAddress(literal: String(first), port: port), !found.contains(address)
            else { continue }
            found.append(address)
        }
        return found.filter { $0.family == .ipv4 } + found.filter { $0.family == .ipv6 }
    }
}
