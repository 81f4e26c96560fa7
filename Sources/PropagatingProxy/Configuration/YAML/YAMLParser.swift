// SPDX-License-Identifier: Apache-2.0
import CYAML

/// Turns the text of a file into a tree of nodes, with libyaml's event interface.
///
/// Bounded in depth and number of nodes. Aliases are refused, so that the tree is never larger than
/// its text.
@safe
struct YAMLParser: ~Copyable {
    static let maximumDepth = 32
    static let maximumNodes = 100_000

    /// Why there is no tree.
    struct Failure: Error {
        var origin: Origin
        var message: String
    }

    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private var nodeCount = 0

    /// The only document of a text.
    static func parse(_ text: [UInt8]) throws(Failure) -> YAMLNode {
        var result: Result<YAMLNode, Failure> = .failure(
            Failure(origin: .file(line: 1, column: 1), message: "cannot be read"))
        unsafe text.withUnsafeBufferPointer { bytes in
            do throws(Failure) {
                var parser = try unsafe YAMLParser(bytes)
                result = .success(try parser.document())
            } catch {
                result = .failure(error)
            }
        }
        return try result.get()
    }

    /// - Parameter bytes: must outlive the parser.
    private init(_ bytes: UnsafeBufferPointer<UInt8>) throws(Failure) {
        unsafe parser = .allocate(capacity: 1)
        guard unsafe yaml_parser_initialize(parser) == 1 else {
            unsafe parser.deallocate()
            throw Failure(origin: .file(line: 1, column: 1), message: "not enough memory to parse")
        }
        unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        unsafe yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
    }

    deinit {
        unsafe yaml_parser_delete(parser)
        unsafe parser.deallocate()
    }

    private mutating func document() throws(Failure) -> YAMLNode {
        while true {
            let event = try next()
            switch event.kind {
            case .other: continue
            case .streamEnd: throw Failure(origin: event.origin, message: "the file is empty, expected a mapping")
            default:
                let root = try node(event, depth: 1)
                try expectEnd()
                return root
            }
        }
    }

    private mutating func expectEnd() throws(Failure) {
        while true {
            let event = try next()
            switch event.kind {
            case .other: continue
            case .streamEnd: return
            default: throw Failure(origin: event.origin, message: "a second document, expected only one")
            }
        }
    }

    private mutating func node(_ event: Event, depth: Int) throws(Failure) -> YAMLNode {
        nodeCount += 1
        guard nodeCount <= Self.maximumNodes else {
            throw Failure(origin: event.origin, message: "more than \(Self.maximumNodes) values")
        }
        guard depth <= Self.maximumDepth else {
            throw Failure(origin: event.origin, message: "nested deeper than \(Self.maximumDepth) levels")
        }
        switch event.kind {
        case .scalar(let text): return YAMLNode(.scalar(text), at: event.origin)
        case .sequenceStart: return YAMLNode(.sequence(try sequence(depth)), at: event.origin)
        case .mappingStart: return YAMLNode(.mapping(try mapping(depth)), at: event.origin)
        case .alias: throw Failure(origin: event.origin, message: "aliases (*name) are not supported")
        case .sequenceEnd, .mappingEnd, .streamEnd, .other:
            throw Failure(origin: event.origin, message: "not expected here")
        }
    }

    private mutating func sequence(_ depth: Int) throws(Failure) -> [YAMLNode] {
        var items: [YAMLNode] = []
        while true {
            let event = try next()
            if case .sequenceEnd = event.kind { return items }
            items.append(try node(event, depth: depth + 1))
        }
    }

    private mutating func mapping(_ depth: Int) throws(Failure) -> [YAMLEntry] {
        var entries: [YAMLEntry] = []
        while true {
            let event = try next()
            if case .mappingEnd = event.kind { return entries }
            let key = try node(event, depth: depth + 1)
            guard case .scalar(let name) = key.content else {
                throw Failure(origin: key.origin, message: "\(key.kindName) as a key, expected a name")
            }
            entries.append(YAMLEntry(key: name, origin: key.origin, value: try node(next(), depth: depth + 1)))
        }
    }

    private struct Event {
        enum Kind {
            case scalar(String), sequenceStart, sequenceEnd, mappingStart, mappingEnd, alias, streamEnd, other
        }

        var kind: Kind
        var origin: Origin
    }

    private func next() throws(Failure) -> Event {
        var event = unsafe yaml_event_t()
        guard unsafe yaml_parser_parse(parser, &event) == 1 else { throw failure() }
        defer { unsafe yaml_event_delete(&event) }
        let origin = unsafe Self.origin(event.start_mark)
        switch unsafe event.type {
        case YAML_SCALAR_EVENT:
            let scalar = unsafe event.data.scalar
            let text = unsafe String(
                decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            let isNull = unsafe scalar.style == YAML_PLAIN_SCALAR_STYLE && (text == "~" || text == "null")
            return Event(kind: .scalar(isNull ? "" : text), origin: origin)
        case YAML_SEQUENCE_START_EVENT: return Event(kind: .sequenceStart, origin: origin)
        case YAML_SEQUENCE_END_EVENT: return Event(kind: .sequenceEnd, origin: origin)
        case YAML_MAPPING_START_EVENT: return Event(kind: .mappingStart, origin: origin)
        case YAML_MAPPING_END_EVENT: return Event(kind: .mappingEnd, origin: origin)
        case YAML_ALIAS_EVENT: return Event(kind: .alias, origin: origin)
        case YAML_STREAM_END_EVENT: return Event(kind: .streamEnd, origin: origin)
        default: return Event(kind: .other, origin: origin)
        }
    }

    private func failure() -> Failure {
        let isReader = unsafe parser.pointee.error == YAML_READER_ERROR
        var message = unsafe parser.pointee.problem.map { unsafe String(cString: $0) } ?? "not YAML"
        if let context = unsafe parser.pointee.context {
            message += unsafe " (\(String(cString: context)))"
        }
        // A reader error (wrong UTF-8) has no mark of its own; the scanner's is close to it.
        let origin = unsafe Self.origin(isReader ? parser.pointee.mark : parser.pointee.problem_mark)
        return Failure(origin: origin, message: message)
    }

    private static func origin(_ mark: yaml_mark_t) -> Origin {
        .file(line: mark.line + 1, column: mark.column + 1)
    }
}

/// The libyaml this process runs with.
enum YAMLLibrary {
    static var version: String { unsafe yaml_get_version_string().map { unsafe String(cString: $0) } ?? "?" }
}
