// SPDX-License-Identifier: Apache-2.0

/// The routes of one host and one path, in one number: most often a single route that asks for nothing else, which is
/// then found without a look at lists and conditions.
struct Candidates: BitwiseCopyable {
    /// 0 or more: a route's number doubled, or a list's doubled and 1.
    let code: Int

    init(code: Int) { self.code = code }

    /// - Parameters:
    ///   - numbers: of the routes, in file order; not empty.
    ///   - lists: where they go if they are more than a number.
    // bounded: numbers are places in routes
    init(_ numbers: [Int], of routes: [Configuration.Route], lists: inout [[Int]]) {
        if let first = numbers.first, routes[first].match.asksForPathAndHostOnly {
            code = first << 1  // those behind it are never reached
        } else {
            code = lists.count << 1 | 1
            lists.append(numbers)
        }
    }

    var soleRoute: Int? { code & 1 == 0 ? code >> 1 : nil }

    /// Meaningful without a ``soleRoute``.
    var list: Int { code >> 1 }
}

extension Configuration.Match {
    fileprivate var asksForPathAndHostOnly: Bool { methods.isEmpty && headers.isEmpty }
}
