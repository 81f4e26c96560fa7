// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Testing

@Suite("The strict profile, case by case")
struct ConformanceTests {
    @Test("Every request case is refused or read with the framing promised", arguments: ConformanceCase.requests)
    func request(_ row: ConformanceCase) {
        let outcome = Outcome.ofRequest(row.raw)
        #expect(outcome.isForwarded == row.isForwarded, "\(outcome)")
        guard case .forwarded(let framing, let body) = outcome, row.isForwarded else { return }
        #expect(row.framings.contains(framing), "\(outcome)")
        if let expected = row.body { #expect(text(body) == expected) }
    }

    @Test("Every response case is refused or read with the framing promised", arguments: ConformanceCase.responses)
    func response(_ row: ConformanceCase) {
        let outcome = Outcome.ofResponse(row)
        #expect(outcome.isForwarded == row.isForwarded, "\(outcome)")
        guard case .forwarded(_, let body) = outcome, row.isForwarded else { return }
        if let expected = row.body, row.id != "resp-ws-101" { #expect(text(body) == expected) }
    }

    @Test("The case file was found and is whole")
    func isComplete() {
        #expect(ConformanceCase.requests.count == 242)
        #expect(ConformanceCase.responses.count == 49)
    }
}

/// What would be sent on, as far as syntax decides it.
private enum Outcome {
    case refused(SyntaxError)
    case cut
    case forwarded(framing: String, body: [UInt8])

    var isForwarded: Bool {
        if case .forwarded = self { true } else { false }
    }

    static func ofRequest(_ received: [UInt8]) -> Outcome {
        var fields = FieldTable()
        do {
            guard let head = try HTTP1Tests.request(received, &fields) else { return .cut }
            return try ofBody(received, from: Int(head.length), head.framing, closes: false)
        } catch {
            return .refused(error)
        }
    }

    /// Interim responses are passed by, at most 100 of them; a 101 counts only if it was asked for.
    static func ofResponse(_ row: ConformanceCase) -> Outcome {
        var fields = FieldTable()
        let method: HTTP1.Method = row.requestMethod == "HEAD" ? .head : .get
        var rest = row.raw
        do {
            for _ in 0...100 {
                guard let head = try HTTP1Tests.response(rest, &fields, to: method) else { return .cut }
                guard head.status < 200 else {
                    return try ofBody(rest, from: Int(head.length), head.framing, closes: row.closes)
                }
                if head.status == 101 {
                    let granted = rest.span.extracting(head.upgrade.range)
                    let asked = row.requestMethod == "WS" && UpgradeToken.matches(bytes("websocket").span, granted)
                    return asked ? .forwarded(framing: "tunnel", body: []) : .cut
                }
                rest.removeFirst(Int(head.length))
            }
            return .cut
        } catch {
            return .refused(error)
        }
    }

    private static func ofBody(
        _ received: [UInt8], from start: Int, _ framing: BodyFraming, closes: Bool
    ) throws(SyntaxError) -> Outcome {
        let rest = Array(received[start...])
        switch framing {
        case .none: return .forwarded(framing: "none", body: [])
        case .length(let count):
            guard count <= UInt64(rest.count) else { return .cut }
            return .forwarded(framing: "cl", body: Array(rest.prefix(Int(count))))
        case .chunked:
            let body = try readChunked(rest, pieces: [rest.count + 1])
            return body.isWhole ? .forwarded(framing: "chunked", body: body.data) : .cut
        case .untilClose: return closes ? .forwarded(framing: "close", body: rest) : .cut
        }
    }
}
