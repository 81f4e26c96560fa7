// SPDX-License-Identifier: Apache-2.0
import Propagation

/// Reads one route.
struct RouteReader {
    let mistakes: Mistakes
    let upstreams: [Configuration.Upstream]

    func read(_ node: YAMLNode) -> Configuration.Route {
        let reader = MappingReader(node, "listeners[].routes[]", parent: node.origin, mistakes)
        defer { reader.finish() }
        let match = MatchReader(mistakes: mistakes).read(reader)
        let timeouts = reader.mapping("timeouts")
        let response = timeouts.optionalDuration("response")
        timeouts.finish()
        let reply = reply(reader)
        let upstream = upstream(reader, hasReply: reply != nil)
        let (path, host) = rewrite(reader, match)
        let keepsHost = upstream.map { upstreams[$0].host == .keep } ?? true
        let own = upstream.map { upstreams[$0].authority } ?? []
        return Configuration.Route(
            name: reader.text("name", "a name")?.text ?? Self.name(of: match.path), match: match, rewrite: path,
            hostReplacement: host ?? (keepsHost ? [] : own), upstream: upstream, sampling: sampling(reader),
            reply: reply, responseMilliseconds: response, retry: retry(reader, upstream))
    }

    private func retry(_ reader: MappingReader, _ upstream: Int?) -> RetryPolicy? {
        let policy = RetryReader(mistakes: mistakes).read(reader)
        if policy != nil, upstream == nil, reader.value("respond") != nil, let node = reader.value("retry") {
            mistakes.add(node.origin, "a route has 'retry' and 'respond', expected one of them")
        }
        return policy
    }

    /// As it was written, which is what an operator looks for in spans and metrics.
    private static func name(of path: Configuration.PathMatch) -> String {
        switch path {
        case .exact(let text): String(decoding: text, as: UTF8.self)
        case .prefix(let text): String(decoding: text, as: UTF8.self) + "*"
        case .regex(let text): "~" + text
        }
    }

    private func upstream(_ reader: MappingReader, hasReply: Bool) -> Int? {
        let names = upstreams.map(\.name)
        guard let (name, origin) = reader.text("upstream", "the name of an upstream") else {
            if !hasReply, reader.value("upstream") == nil, reader.value("respond") == nil {
                reader.missing("upstream", "the name of one, or 'respond'")
            }
            return nil
        }
        if reader.value("respond") != nil {
            mistakes.add(origin, "a route has 'upstream' and 'respond', expected one of them")
        }
        if let index = names.firstIndex(of: name) { return index }
        let known = names.isEmpty ? "none is defined" : "one of \(names.prefix(10).joined(separator: ", "))"
        mistakes.add(
            origin, "no upstream is named '\(name)'\(Suggestion.text(for: name, among: names)), expected \(known)")
        return nil
    }

    private func reply(_ parent: MappingReader) -> Configuration.FixedReply? {
        guard parent.value("respond") != nil else { return nil }
        let reader = parent.mapping("respond")
        defer { reader.finish() }
        let status = reader.integer("status", 200...599, default: 200)
        var body: [UInt8] = []
        if let node = reader.value("body") {
            if case .scalar("") = node.content {
                body = []
            } else {
                body = Array((reader.text(node, "body", "text")?.text ?? "").utf8)
            }
            if body.count > 16_384 { mistakes.add(node.origin, "'body' is longer than 16KiB, expected less") }
            if !body.isEmpty, status == 204 || status == 304 {
                mistakes.add(node.origin, "a response of status \(status) has no body, expected none")
            }
        }
        return Configuration.FixedReply(status: UInt16(status), body: body)
    }

    private func rewrite(
        _ parent: MappingReader, _ match: Configuration.Match
    ) -> (Configuration.PathRewrite, [UInt8]?) {
        let reader = parent.mapping("rewrite")
        defer { reader.finish() }
        let path = reader.converted("path", PathText.expected) { PathText.bytes($0) }
        let prefix = reader.converted("prefix", PathText.expected) { PathText.bytes($0) }
        let host = reader.converted("host", "a host such as app.example or app.example:8080", Self.host)
        guard let prefix else { return (path.map { .path($0) } ?? .none, host) }
        let origin = reader.value("prefix")?.origin ?? reader.origin
        if path != nil { mistakes.add(origin, "a rewrite has 'path' and 'prefix', expected one of them") }
        guard case .prefix(let matched) = match.path else {
            mistakes.add(origin, "'rewrite.prefix' has no prefix to replace, expected a route with match.prefix")
            return (.none, host)
        }
        return (.prefix(count: matched.count, prefix), host)
    }

    private static func host(_ text: String) -> [UInt8]? {
        AddressNotation.isAuthority(text) ? Array(text.utf8) : nil
    }

    private func sampling(_ reader: MappingReader) -> SamplingRule {
        let expected = "always, never, inherit or a percentage such as 12.5%"
        return reader.converted("sampling", expected) { text in
            switch text {
            case "always": .always
            case "never": .never
            case "inherit": .inherit
            default:
                text.hasSuffix("%")
                    ? SamplingThreshold(percentText: String(text.dropLast())).map { .percent($0) } : nil
            }
        } ?? .inherit
    }
}

/// Paths that go into a request line.
enum PathText {
    static let expected = "a path such as /productpage, without spaces, '?' and '#'"

    /// `nil` unless it begins with `/` and has only bytes a request target may hold (RFC 3986 §3.3).
    static func bytes(_ text: String) -> [UInt8]? {
        let bytes = Array(text.utf8)
        let forbidden = Array("\"#<>?\\^`{|}".utf8)
        guard bytes.first == UInt8(ascii: "/"), bytes.count <= 8192,
            bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !forbidden.contains($0) })
        else { return nil }
        return bytes
    }
}
