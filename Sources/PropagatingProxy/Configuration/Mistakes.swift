// SPDX-License-Identifier: Apache-2.0

/// Collects everything wrong with a configuration, so that the operator sees it all at once.
final class Mistakes {
    /// As it was named on the command line.
    private let file: String
    private let environment: [String: String]
    private var found: [(Origin, String)] = []
    private(set) var warnings: [String] = []
    /// Keys the reader asked for, by the path of their mapping: what the schema is compared to.
    private(set) var knownKeys: [String: Set<String>] = [:]
    /// Scalars with variables in them: a message repeats what the operator wrote, never what a variable holds.
    private var expansions: [Origin: Expansion] = [:]
    /// Variables that secrets came from.
    private(set) var secretVariables: Set<String> = []

    private struct Expansion {
        var written: String
        var text = ""
        var variables: [String] = []
    }

    init(file: String, environment: [String: String]) {
        self.file = file
        self.environment = environment
    }

    var isEmpty: Bool { found.isEmpty }

    /// `file:line:column: message`, in file order, each once.
    var lines: [String] {
        let sorted = found.enumerated().sorted { a, b in
            let (x, y) = (position(a.element.0), position(b.element.0))
            return x == y ? a.offset < b.offset : x < y
        }
        var seen: Set<String> = []
        return sorted.map { "\($0.element.0.text(file: file)): \($0.element.1)" }.filter { seen.insert($0).inserted }
    }

    private func position(_ origin: Origin) -> (Int, Int) {
        if case .file(let line, let column) = origin { return (line, column) }
        return (Int.max, 0)
    }

    func add(_ origin: Origin, _ message: String) {
        guard let expansion = expansions[origin] else { return found.append((origin, message)) }
        var message = message
        for shown in [expansion.text, ShownText.url(expansion.text)] {
            message = message.split(separator: "'\(shown)'", omittingEmptySubsequences: false)
                .joined(separator: "'\(expansion.written)'")
        }
        found.append((origin, message))
    }

    func warn(_ origin: Origin, _ message: String) { warnings.append("\(origin.text(file: file)): \(message)") }

    /// What was read there is a secret, and so are the variables it came from.
    func noteSecret(at origin: Origin) {
        if case .environment(let name) = origin { secretVariables.insert(name) }
        secretVariables.formUnion(expansions[origin]?.variables ?? [])
    }

    func ask(_ key: String, of path: String) { knownKeys[path, default: []].insert(key) }

    /// A scalar's text with its `${NAME}` and `${NAME:-default}` replaced; `nil` after a mistake.
    ///
    /// What a variable holds is never read as YAML.
    func expand(_ text: String, at origin: Origin) -> String? {
        var result = ""
        var rest = text[...]
        var expansion = Expansion(written: text)
        while let start = rest.firstRange(of: "${") {
            result += rest[..<start.lowerBound]
            if result.last == "$" {  // `$${` stands for `${`
                result += "{"
                rest = rest[start.upperBound...]
                continue
            }
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else {
                add(origin, "a variable has no end, expected ${NAME} or ${NAME:-default} ($${ stands for ${)")
                return nil
            }
            let (name, fallback) = Self.parts(of: rest[start.upperBound..<end])
            guard let value = variable(name, fallback, at: origin) else { return nil }
            expansion.variables.append(name)
            result += value
            rest = rest[rest.index(after: end)...]
        }
        expansion.text = result + rest
        if !expansion.variables.isEmpty { expansions[origin] = expansion }
        return expansion.text
    }

    private static func parts(of text: Substring) -> (name: String, fallback: Substring?) {
        guard let mark = text.firstRange(of: ":-") else { return (String(text), nil) }
        return (String(text[..<mark.lowerBound]), text[mark.upperBound...])
    }

    private func variable(_ name: String, _ fallback: Substring?, at origin: Origin) -> String? {
        let isName =
            name.utf8.first.map { !(0x30...0x39).contains($0) } ?? false
            && name.utf8.allSatisfy { $0 == UInt8(ascii: "_") || isAlphanumeric($0) }
        guard isName else {
            add(origin, "what stands in ${} is no name of a variable, expected letters, digits and _")
            return nil
        }
        if let value = environment[name], !value.isEmpty { return value }
        if let fallback { return String(fallback) }
        add(origin, "the variable \(name) is not set, expected a value or ${\(name):-default}")
        return nil
    }
}

/// ASCII only.
func isAlphanumeric(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x7A).contains(lowercased(byte))
}
