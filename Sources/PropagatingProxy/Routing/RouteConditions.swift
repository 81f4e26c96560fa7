// SPDX-License-Identifier: Apache-2.0
import HTTP1

/// What each route of a listener asks of method and fields, beside host and path.
///
/// Flat arrays: a nested one would be counted up and down at every look.
struct RouteConditions: Sendable {
    private struct Text: BitwiseCopyable {
        var start: Int32
        var count: Int32
    }

    private enum Kind: UInt8, BitwiseCopyable { case present, value, prefix }

    private struct Header: BitwiseCopyable {
        /// Lower case.
        var name: Text
        var kind: Kind
        var text: Text
    }

    /// Positions in `methods` and `headers`.
    private struct Route: BitwiseCopyable {
        var firstMethod: Int32
        var endMethod: Int32
        var firstHeader: Int32
        var endHeader: Int32
    }

    private var routes: [Route] = []
    private var methods: [Text] = []
    private var headers: [Header] = []
    private var pool: [UInt8] = []

    /// - Parameter routes: in file order, which numbers them.
    init(_ routes: [Configuration.Route]) {
        for route in routes {
            let (firstMethod, firstHeader) = (Int32(methods.count), Int32(headers.count))
            for text in route.match.methods { methods.append(keep(text)) }
            for match in route.match.headers { headers.append(header(match)) }
            self.routes.append(
                Route(
                    firstMethod: firstMethod, endMethod: Int32(methods.count), firstHeader: firstHeader,
                    endHeader: Int32(headers.count)))
        }
    }

    private mutating func header(_ match: Configuration.HeaderMatch) -> Header {
        let name = keep(match.name)
        return switch match.condition {
        case .present: Header(name: name, kind: .present, text: keep([]))
        case .value(let text): Header(name: name, kind: .value, text: keep(text))
        case .prefix(let text): Header(name: name, kind: .prefix, text: keep(text))
        }
    }

    private mutating func keep(_ text: [UInt8]) -> Text {
        defer { pool += text }
        return Text(start: Int32(pool.count), count: Int32(text.count))
    }

    // bounded: numbers of routes, headers and methods come from init alone
    func hold(_ route: Int, method: Span<UInt8>, fields: borrowing FieldTable, bytes: Span<UInt8>) -> Bool {
        let route = routes.span[route]
        guard accepts(method, route) else { return false }
        var index = route.firstHeader
        while index < route.endHeader {
            if !holds(headers.span[Int(index)], fields: fields, bytes: bytes) { return false }
            index += 1
        }
        return true
    }

    // bounded: as above
    private func accepts(_ method: Span<UInt8>, _ route: Route) -> Bool {
        guard route.firstMethod < route.endMethod else { return true }
        var index = route.firstMethod
        while index < route.endMethod {
            let text = methods.span[Int(index)]
            if Int(text.count) == method.count, equal(text, method) { return true }
            index += 1
        }
        return false
    }

    /// Any one field of the name may fulfil the condition.
    private func holds(_ header: Header, fields: borrowing FieldTable, bytes: Span<UInt8>) -> Bool {
        for index in 0..<fields.count {
            let field = fields[index]
            guard Int32(field.name.count) == header.name.count,
                equal(header.name, bytes.extracting(field.name.range), foldsCase: true)
            else { continue }
            let count = Int(header.text.count)
            switch header.kind {
            case .present: return true
            case .value where Int(field.value.count) != count: break
            case .prefix where Int(field.value.count) < count: break
            case .value, .prefix:
                if equal(header.text, bytes.extracting(field.value.range)) { return true }
            }
        }
        return false
    }

    /// Whether `theirs`, which is at least as long, begins with our text.
    ///
    /// - Parameter foldsCase: `theirs` is compared as lower case.
    // bounded: theirs is at least as long, and ours lies in the pool
    private func equal(_ ours: Text, _ theirs: Span<UInt8>, foldsCase: Bool = false) -> Bool {
        let pool = pool.span
        for index in 0..<Int(ours.count) {
            let byte = foldsCase ? lowercased(theirs[index]) : theirs[index]
            if pool[Int(ours.start) + index] != byte { return false }
        }
        return true
    }
}
