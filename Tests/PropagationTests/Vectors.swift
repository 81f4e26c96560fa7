// SPDX-License-Identifier: Apache-2.0
import Foundation
import Propagation
import Testing

/// The rows of the vector files: header lines in, meaning out.
enum Vectors {
    static let b3: B3File = load("b3-vectors.json")
    static let w3c: W3CFile = load("w3c-vectors.json")

    private static func load<File: Decodable>(_ name: String) -> File {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Vectors")
        do {
            return try JSONDecoder().decode(File.self, from: Data(contentsOf: folder.appendingPathComponent(name)))
        } catch {
            fatalError("cannot read \(name): \(error)")
        }
    }
}

struct B3File: Decodable {
    let extract: [B3ExtractRow]
    let inject: [InjectRow]
    let flow: [FlowRow]
}

struct B3ExtractRow: Decodable, Sendable, CustomTestStringConvertible {
    struct Expect: Decodable {
        let outcome: String
        let traceId, spanId, parentId: String?
        let sampling: String
        let malformed: [String]
    }

    let id, title: String
    let headers: [[String]]
    let expect: Expect
    var testDescription: String { "\(id) \(title)" }
}

struct InjectRow: Decodable, Sendable, CustomTestStringConvertible {
    let id, title: String
    let context: ContextRow
    let multi: [[String]]
    let single: String
    var testDescription: String { "\(id) \(title)" }
}

struct ContextRow: Decodable {
    let traceId, spanId: String
    let parentId: String?
    let sampling: String

    var context: TraceContext {
        TraceContext(
            traceID: traceID(traceId), spanID: spanID(spanId), parentID: parentId.map(spanID) ?? .none,
            sampling: sampling_
        )
    }

    private var sampling_: Sampling { samplings.first { $0.value == sampling }?.key ?? .undecided }
}

struct FlowRow: Decodable, Sendable, CustomTestStringConvertible {
    struct Span: Decodable {
        let kind, id: String
        let parentId: String?
        let shared: Bool
    }

    /// One attempt's fields, or a list of attempts.
    enum Upstream: Decodable {
        case one([[String]])
        case many([[[String]]])

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            self =
                if let one = try? container.decode([[String]].self) { .one(one) } else {
                    .many(try container.decode([[[String]]].self))
                }
        }

        var attempts: [[[String]]] {
            switch self {
            case .one(let fields): [fields]
            case .many(let attempts): attempts
            }
        }
    }

    let id, title, mode: String
    let incoming: [[String]]
    let decision: String
    let spans: [Span]
    let upstream: Upstream
    var testDescription: String { "\(id) \(title)" }
}

struct W3CFile: Decodable {
    let extract: [W3CExtractRow]
    let mapB3ToW3C: [B3ToW3CRow]
    let mapW3CToB3: [W3CToB3Row]
    let precedence: [PrecedenceRow]
}

struct W3CExtractRow: Decodable, Sendable, CustomTestStringConvertible {
    struct Expect: Decodable {
        let result: String
        let traceId, parentId, tracestate: String?
        let sampled, random: Bool?
    }

    let id, title: String
    let headers: [[String]]
    let expect: Expect
    var testDescription: String { "\(id) \(title)" }
}

struct B3ToW3CRow: Decodable, Sendable, CustomTestStringConvertible {
    let id, title: String
    let b3: ContextRow
    let originatedHere: Bool?
    let traceparent: String
    let ourDecision: String?
    var testDescription: String { "\(id) \(title)" }
}

struct W3CToB3Row: Decodable, Sendable, CustomTestStringConvertible {
    let id, title: String
    let traceparent: String
    let b3: ContextRow
    var testDescription: String { "\(id) \(title)" }
}

struct PrecedenceRow: Decodable, Sendable, CustomTestStringConvertible {
    struct Expect: Decodable {
        let source, traceId, spanId, sampling: String
        let tracestateUpstream: String?
    }

    let id, title: String
    let headers: [[String]]
    let expect: Expect
    var testDescription: String { "\(id) \(title)" }
}

let samplings: [Sampling: String] = [.accept: "accept", .deny: "deny", .debug: "debug", .undecided: "defer"]
