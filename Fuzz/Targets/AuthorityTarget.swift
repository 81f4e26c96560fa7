// SPDX-License-Identifier: Apache-2.0
import Glibc
import HTTP1

/// Host and request target: what is accepted is what the grammar of RFC 3986 allows, and is taken apart at the right
/// places.
///
/// Input: a Host, a line feed, a request target.
final class AuthorityTarget: FuzzTarget {
    func check(_ input: [UInt8]) throws(BrokenLaw) {
        let parts = input.split(separator: 10, maxSplits: 1, omittingEmptySubsequences: false)
        let host = Array(parts[0])
        try hold(isHost(host.span) == PlainAuthority.isHost(host[...]), "Host is judged wrongly")
        guard parts.count == 2, !parts[1].contains(10) else { return }
        for method in ["GET", "OPTIONS"] { try check(method, target: Array(parts[1]), host: host) }
    }

    private func check(_ method: String, target: [UInt8], host: [UInt8]) throws(BrokenLaw) {
        let bytes =
            Array("\(method) ".utf8) + target + Array(" HTTP/1.1\r\nHost: ".utf8) + host + Array("\r\n\r\n".utf8)
        let host = trimmed(host)
        let plain = PlainAuthority(target: target[...], isOptions: method == "OPTIONS")
        let agrees = plain?.authority.map { lower($0) == lower(host) } ?? true
        guard let head = head(bytes) else {
            let isGood = plain != nil && agrees && PlainAuthority.isHost(host)
            return try hold(!isGood, "a good target or Host is refused")
        }
        guard let plain else { return try hold(false, "a malformed target is accepted") }
        try hold(agrees, "Host and target differ")
        try hold(bytes[head.path.range] == plain.path, "the path differs")
        try hold(bytes[head.path.range].prefix(Int(head.pathCount)) == plain.pathOnly, "the query differs")
        try hold(bytes[head.authority.range] == plain.authority ?? host, "the authority differs")
    }

    private func head(_ bytes: [UInt8]) -> RequestHead? {
        var fields = FieldTable()
        let progress = try? parseRequestHead(bytes.span, alreadySeen: 0, limits: HeadLimits(), fields: &fields)
        guard case .complete(let head)? = progress else { return nil }
        return head
    }

    private func trimmed(_ text: [UInt8]) -> ArraySlice<UInt8> {
        text.drop { $0 == 32 || $0 == 9 }.reversed().drop { $0 == 32 || $0 == 9 }.reversed()[...]
    }

    private func lower(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self).lowercased() }
}
