// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// One row of `Vectors/h1-cases.json`: raw bytes and the answer this proxy promises.
struct ConformanceCase: Sendable, CustomTestStringConvertible {
    var id: String
    /// What arrives, up to a close or half-close; pauses are left out.
    var raw: [UInt8]
    /// The peer closes or half-closes after ``raw``.
    var closes: Bool
    var isForwarded: Bool
    /// `none`, `cl`, `chunked`, `close`: those the upstream may see.
    var framings: [String]
    var body: String?
    var requestMethod: String
    var note: String

    var testDescription: String { note.isEmpty ? id : "\(id): \(note)" }

    static let requests = load("request")
    static let responses = load("response")

    private static func load(_ kind: String) -> [ConformanceCase] {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Vectors/h1-cases.json")
        guard let data = try? Data(contentsOf: path),
            let file = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
            let rows = file["cases"] as? [[String: Any]]
        else { return [] }
        return rows.filter { $0["kind"] as? String == kind }.compactMap(ConformanceCase.init)
    }

    private init?(_ row: [String: Any]) {
        guard let id = row["id"] as? String, let raw = row["raw"] as? String, let ours = row["ours"] as? String else {
            return nil
        }
        self.id = id
        let unpaused = expanded(raw).replacing(/\{\{PAUSE:\d+\}\}/, with: "")
        let parts = unpaused.split(separator: /\{\{(FIN|CLOSE|RST)\}\}/, omittingEmptySubsequences: false)
        self.raw = bytes(String(parts.first ?? ""))
        closes = parts.count > 1
        isForwarded = ours == "forward"
        framings = (row["forwarded_framing"] as? String ?? "").split(separator: "|").map(String.init)
        body = (row["body"] as? String).map(expanded)
        requestMethod = row["req"] as? String ?? "GET"
        note = row["note"] as? String ?? ""
    }
}

/// `{{REP:text:n}}` is text n times.
private func expanded(_ raw: String) -> String {
    raw.replacing(/\{\{REP:((?:.|\r|\n)+?):(\d+)\}\}/.matchingSemantics(.unicodeScalar)) { match in
        String(repeating: String(match.1), count: Int(match.2) ?? 0)
    }
}
