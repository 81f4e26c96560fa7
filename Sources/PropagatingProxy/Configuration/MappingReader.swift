// SPDX-License-Identifier: Apache-2.0

/// Reads the keys of one mapping. A wrong value is reported, and the default stands in for it, so
/// that reading goes on; keys nobody asked for are reported by ``finish()``.
final class MappingReader {
    let mistakes: Mistakes
    /// Of the whole mapping, for what is missing in it.
    let origin: Origin
    private let path: String
    private var entries: [String: YAMLEntry] = [:]
    private var asked: Set<String> = []

    /// - Parameters:
    ///   - node: `nil`: the mapping is absent, every key has its default.
    ///   - path: such as `listeners[].routes[]`.
    init(_ node: YAMLNode?, _ path: String, parent: Origin, _ mistakes: Mistakes) {
        self.mistakes = mistakes
        self.path = path
        origin = node?.origin ?? parent
        guard let node else { return }
        guard case .mapping(let list) = node.content else {
            mistakes.add(node.origin, "\(path.isEmpty ? "the file" : path) is \(node.kindName), expected a mapping")
            return
        }
        for entry in list {
            if entries.updateValue(entry, forKey: entry.key) != nil {
                mistakes.add(entry.origin, "\(ShownText.key(entry.key)) is given twice, expected once")
            }
        }
    }

    /// Reports unknown keys. To be called after the last key was asked for.
    func finish() {
        for entry in entries.values where !asked.contains(entry.key) {
            let place = path.isEmpty ? "" : " in \(path)"
            let expected = asked.sorted().joined(separator: ", ")
            mistakes.add(
                entry.origin,
                "unknown key \(ShownText.key(entry.key))\(place)\(Suggestion.text(for: entry.key, among: asked))"
                    + ", expected one of \(expected)")
        }
    }

    func value(_ key: String) -> YAMLNode? {
        asked.insert(key)
        mistakes.ask(key, of: path)
        return entries[key]?.value
    }

    func mapping(_ key: String) -> MappingReader {
        let name = path.isEmpty ? key : "\(path).\(key)"
        return MappingReader(value(key), name, parent: origin, mistakes)
    }

    /// The items of a list; empty if the key is absent.
    func list(_ key: String) -> [YAMLNode] {
        guard let node = value(key) else { return [] }
        guard case .sequence(let items) = node.content else {
            mistakes.add(node.origin, "'\(key)' is \(node.kindName), expected a list")
            return []
        }
        return items
    }

    func missing(_ key: String, _ expected: String) {
        mistakes.add(origin, "'\(key)' is missing\(path.isEmpty ? "" : " in \(path)"), expected \(expected)")
    }

    /// Text with its variables replaced.
    func text(_ key: String, _ expected: String) -> (text: String, origin: Origin)? {
        value(key).flatMap { text($0, key, expected) }
    }

    func text(_ node: YAMLNode, _ key: String, _ expected: String) -> (text: String, origin: Origin)? {
        guard case .scalar(let raw) = node.content, !raw.isEmpty else {
            mistakes.add(node.origin, "'\(key)' is \(node.kindName), expected \(expected)")
            return nil
        }
        guard let text = mistakes.expand(raw, at: node.origin) else { return nil }
        guard !text.isEmpty else {
            mistakes.add(node.origin, "'\(key)' is empty, expected \(expected)")
            return nil
        }
        return (text, node.origin)
    }

    /// Converts a scalar; what `convert` refuses is a mistake.
    func converted<Value>(_ key: String, _ expected: String, _ convert: (String) -> Value?) -> Value? {
        guard let (text, origin) = text(key, expected) else { return nil }
        if let value = convert(text) { return value }
        mistakes.add(origin, "'\(key)' is '\(text)', expected \(expected)")
        return nil
    }

    /// One of some words.
    func choice<Value>(_ key: String, _ words: [(String, Value)]) -> Value? {
        let names = words.map(\.0)
        guard let (text, origin) = text(key, "one of \(names.joined(separator: ", "))") else { return nil }
        if let index = names.firstIndex(of: text) { return words[index].1 }
        mistakes.add(
            origin,
            "'\(key)' is '\(text)'\(Suggestion.text(for: text, among: names))"
                + ", expected one of \(names.joined(separator: ", "))")
        return nil
    }

    func choice<Value: RawRepresentable & CaseIterable>(_ key: String, _: Value.Type) -> Value?
    where Value.RawValue == String {
        choice(key, Value.allCases.map { ($0.rawValue, $0) })
    }

    func flag(_ key: String, default: Bool) -> Bool {
        choice(key, [("true", true), ("false", false)]) ?? `default`
    }

    func integer(_ key: String, _ range: ClosedRange<Int>, default: Int) -> Int {
        converted(key, "a whole number from \(range.lowerBound) to \(range.upperBound)") {
            Int($0).flatMap { range.contains($0) ? $0 : nil }
        } ?? `default`
    }

    /// Milliseconds.
    func duration(_ key: String, from least: Int = 1, default: Int) -> Int {
        optionalDuration(key, from: least) ?? `default`
    }

    func optionalDuration(_ key: String, from least: Int = 1) -> Int? {
        let first = least == 0 ? "0" : "\(least)ms"
        return converted(key, "a duration such as 500ms, 1.5s, 2m or 1h, from \(first) to 24h") {
            Quantity.milliseconds($0).flatMap { (least...86_400_000).contains($0) ? $0 : nil }
        }
    }

    /// Bytes.
    func size(_ key: String, _ range: ClosedRange<Int>, default: Int) -> Int {
        let bounds = "\(Quantity.sizeText(range.lowerBound)) to \(Quantity.sizeText(range.upperBound))"
        return converted(key, "a size such as 500kB, 64KiB or 16MiB, from \(bounds)") {
            Quantity.bytes($0).flatMap { range.contains($0) ? $0 : nil }
        } ?? `default`
    }
}
