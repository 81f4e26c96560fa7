// SPDX-License-Identifier: Apache-2.0
import HTTP1

@testable import PropagatingProxy

/// A configuration and its environment: no text traps, everything that is wrong is told with its place, and what is
/// right can be used.
///
/// Input: the file, then variables `NAME=value`, each after a NUL.
final class ConfigurationTarget: FuzzTarget {
    func check(_ input: [UInt8]) throws(BrokenLaw) {
        // Secrets are read from files: not from this machine's.
        guard !String(decoding: input, as: UTF8.self).contains("file:") else { return }
        let parts = input.split(separator: 0, omittingEmptySubsequences: false)
        var environment: [String: String] = [:]
        for part in parts.dropFirst() {
            guard let equals = part.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let name = String(decoding: part[..<equals], as: UTF8.self)
            environment[name] = String(decoding: part[(equals + 1)...], as: UTF8.self)
        }
        let outcome = Result { () throws(ConfigurationLoader.Failure) in
            try ConfigurationLoader.load(text: Array(parts[0]), file: "f", environment: environment, readsFiles: false)
        }
        switch outcome {
        case .success(let loaded): try use(loaded.configuration)
        case .failure(let failure):
            try hold(!failure.lines.isEmpty, "refused without a reason")
            for line in failure.lines { try hold(hasPlace(line, environment), "no place: \(line)") }
        }
    }

    /// `file:line:column: …`, or the name of a variable.
    private func hasPlace(_ line: String, _ environment: [String: String]) -> Bool {
        if environment.keys.contains(where: { !$0.isEmpty && line.hasPrefix("\($0): ") }) { return true }
        let parts = line.split(separator: ":", maxSplits: 3)
        return parts.count == 4 && parts[0] == "f" && parts[1...2].allSatisfy { Int($0).map { $0 > 0 } ?? false }
            && parts[3].count > 2
    }

    /// Makes the tables of a worker, and asks them.
    private func use(_ configuration: Configuration) throws(BrokenLaw) {
        try hold(!configuration.listeners.isEmpty && configuration.workers > 0, "nothing to do is accepted")
        let request = Array("GET /a/b HTTP/1.1\r\nHost: a.example:80\r\nX-Plan: free\r\n\r\n".utf8)
        var fields = FieldTable()
        _ = try? parseRequestHead(request.span, alreadySeen: 0, limits: HeadLimits(), fields: &fields)
        for listener in configuration.listeners {
            let table = RouteTable(routes: listener.routes)
            let route = table.match(
                method: request.span.extracting(0..<3), host: request.span.extracting(25..<37),
                path: request.span.extracting(4..<8), fields: fields, bytes: request.span)
            try hold(route.map(listener.routes.indices.contains) ?? true, "a route that does not exist")
        }
    }
}
