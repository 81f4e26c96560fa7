// SPDX-License-Identifier: Apache-2.0

/// Reads which requests a route is for.
struct MatchReader {
    let mistakes: Mistakes

    func read(_ route: MappingReader) -> Configuration.Match {
        let reader = route.mapping("match")
        defer { reader.finish() }
        return Configuration.Match(
            host: reader.converted("host", "a host such as app.example or *.example.com, without a port", Self.host),
            path: path(reader), methods: methods(reader), headers: reader.list("headers").compactMap { header($0) })
    }

    private func path(_ reader: MappingReader) -> Configuration.PathMatch {
        let exact = reader.converted("path", PathText.expected) { text in
            text == "*" ? [UInt8(ascii: "*")] : PathText.bytes(text)
        }
        let prefix = reader.converted("prefix", PathText.expected) { PathText.bytes($0) }
        let pattern = reader.text("regex", "a POSIX extended regular expression")
        if let pattern, let mistake = PathPattern.mistake(in: pattern.text) {
            mistakes.add(pattern.origin, "the regular expression \(mistake), expected a POSIX extended one")
        }
        let given = ["path", "prefix", "regex"].compactMap { reader.value($0)?.origin }
        if given.count > 1 {
            mistakes.add(given[1], "a match has several of 'path', 'prefix' and 'regex', expected one of them")
        }
        if let exact { return .exact(exact) }
        if let pattern { return .regex(pattern.text) }
        return .prefix(prefix ?? [UInt8(ascii: "/")])
    }

    private static func host(_ text: String) -> Configuration.HostMatch? {
        let lower = text.lowercased()
        if lower.hasPrefix("*.") {
            return AddressNotation.isHostName(String(lower.dropFirst(2))) ? .suffix(Array(lower.utf8.dropFirst())) : nil
        }
        if lower.hasPrefix("["), lower.hasSuffix("]"), AddressNotation.endpoint(lower + ":80") != nil {
            return .exact(Array(lower.utf8))
        }
        return AddressNotation.isHostName(lower) ? .exact(Array(lower.utf8)) : nil
    }

    private func methods(_ reader: MappingReader) -> [[UInt8]] {
        let expected = "a method such as GET, in upper case"
        return reader.list("methods").compactMap { item in
            guard let (text, origin) = reader.text(item, "methods", expected) else { return nil }
            // TRACE and CONNECT never reach a route.
            let isUsable = text.utf8.count <= 32 && FieldText.isToken(text) && text == text.uppercased()
            if isUsable, text != "TRACE", text != "CONNECT" { return Array(text.utf8) }
            mistakes.add(origin, "'\(text)' is no method to route, expected \(expected)")
            return nil
        }
    }

    private func header(_ node: YAMLNode) -> Configuration.HeaderMatch? {
        let reader = MappingReader(node, "listeners[].routes[].match.headers[]", parent: node.origin, mistakes)
        defer { reader.finish() }
        let name = reader.converted("name", "the name of a header") {
            FieldText.isToken($0) ? Array($0.lowercased().utf8) : nil
        }
        if reader.value("name") == nil { reader.missing("name", "the name of a header") }
        let value = reader.text("value", "the value of the header").map { Array($0.text.utf8) }
        let prefix = reader.text("prefix", "the beginning of the value").map { Array($0.text.utf8) }
        let isPresent = reader.value("present") != nil
        if isPresent { _ = reader.choice("present", [("true", ())]) }
        let given = ["value", "prefix", "present"].compactMap { reader.value($0)?.origin }
        if given.isEmpty, case .mapping = node.content {
            mistakes.add(node.origin, "a header has no condition, expected 'value', 'prefix' or 'present: true'")
        }
        if given.count > 1 {
            mistakes.add(given[1], "a header has several conditions, expected one of 'value', 'prefix', 'present'")
        }
        guard let name else { return nil }
        let condition: Configuration.HeaderCondition =
            value.map { .value($0) } ?? prefix.map { .prefix($0) } ?? .present
        return Configuration.HeaderMatch(name: name, condition: condition)
    }
}

/// Parts of field lines (RFC 9110 §5).
enum FieldText {
    static func isToken(_ text: String) -> Bool {
        let marks = Array("!#$%&'*+-.^_`|~".utf8)
        return !text.isEmpty && text.utf8.allSatisfy { isAlphanumeric($0) || marks.contains($0) }
    }

    static func isValue(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } && text.utf8.first != 0x20 && text.utf8.last != 0x20
    }
}
