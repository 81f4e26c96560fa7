// SPDX-License-Identifier: Apache-2.0

/// One value of a configuration, and where it was given.
struct YAMLNode: Sendable {
    enum Content: Sendable {
        case scalar(String)
        case sequence([YAMLNode])
        /// In file order; a repeated key stands twice.
        case mapping([YAMLEntry])
    }

    var content: Content
    var origin: Origin

    init(_ content: Content, at origin: Origin) {
        self.content = content
        self.origin = origin
    }

    /// What it is, for messages.
    var kindName: String {
        switch content {
        case .scalar(let text): text.isEmpty ? "nothing" : "a single value"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }

    /// The value of a key of a mapping.
    subscript(key: String) -> YAMLNode? {
        get {
            guard case .mapping(let entries) = content else { return nil }
            return entries.first { $0.key == key }?.value
        }
        set {
            guard case .mapping(var entries) = content, let newValue else { return }
            let entry = YAMLEntry(key: key, origin: newValue.origin, value: newValue)
            if let index = entries.firstIndex(where: { $0.key == key }) {
                entries[index] = entry
            } else {
                entries.append(entry)
            }
            content = .mapping(entries)
        }
    }

    /// Sets a value below mappings, which are made where they are missing. Nothing happens if
    /// something other than a mapping is in the way: the reader reports that.
    mutating func set(_ path: ArraySlice<String>, to value: YAMLNode) {
        guard let key = path.first else {
            self = value
            return
        }
        var child = self[key] ?? YAMLNode(.mapping([]), at: value.origin)
        child.set(path.dropFirst(), to: value)
        self[key] = child
    }

    /// The value below mappings.
    func value(_ path: String...) -> YAMLNode? {
        var node: YAMLNode? = self
        for key in path { node = node?[key] }
        return node
    }
}

struct YAMLEntry: Sendable {
    var key: String
    var origin: Origin
    var value: YAMLNode
}

/// Where the operator wrote something.
enum Origin: Sendable, Hashable {
    /// Lines and columns count from 1.
    case file(line: Int, column: Int)
    /// An option such as `--listen`.
    case option(String)
    case environment(String)

    func text(file: String) -> String {
        switch self {
        case .file(let line, let column): "\(file):\(line):\(column)"
        case .option(let name): name
        case .environment(let name): name
        }
    }
}
