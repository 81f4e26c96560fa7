// SPDX-License-Identifier: Apache-2.0
import HTTP1

/// What a route asks of method and fields, beside host and path.
struct RouteConditions: Sendable {
    private let methods: [[UInt8]]
    private let headers: [Configuration.HeaderMatch]

    init(_ match: Configuration.Match) {
        methods = match.methods
        headers = match.headers
    }

    var isEmpty: Bool { methods.isEmpty && headers.isEmpty }

    func hold(method: Span<UInt8>, fields: borrowing FieldTable, bytes: Span<UInt8>) -> Bool {
        accepts(method) && headers.indices.allSatisfy { holds(headers[$0], fields: fields, bytes: bytes) }
    }

    private func accepts(_ method: Span<UInt8>) -> Bool {
        guard !methods.isEmpty else { return true }
        for text in methods where equal(text.span, method) { return true }
        return false
    }

    /// Any one field of the name may fulfil the condition.
    private func holds(_ header: Configuration.HeaderMatch, fields: borrowing FieldTable, bytes: Span<UInt8>) -> Bool {
        for index in 0..<fields.count {
            let field = fields[index]
            guard Int(field.name.count) == header.name.count,
                equal(header.name.span, bytes.extracting(field.name.range), foldsCase: true)
            else { continue }
            let value = bytes.extracting(field.value.range)
            switch header.condition {
            case .present: return true
            case .value(let text): if equal(text.span, value) { return true }
            case .prefix(let text):
                if value.count >= text.count, equal(text.span, value.extracting(first: text.count)) { return true }
            }
        }
        return false
    }

    /// - Parameter foldsCase: `theirs` is compared as lower case.
    private func equal(_ ours: Span<UInt8>, _ theirs: Span<UInt8>, foldsCase: Bool = false) -> Bool {
        guard ours.count == theirs.count else { return false }
        for index in ours.indices {
            let byte = foldsCase ? lowercased(theirs[index]) : theirs[index]
            if ours[index] != byte { return false }
        }
        return true
    }
}
