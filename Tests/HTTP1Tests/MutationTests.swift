// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Testing

@Suite("Hostile bytes")
struct MutationTests {
    @Test("No request crashes the parser or makes it point outside the head", arguments: ConformanceCase.requests)
    func requests(_ row: ConformanceCase) {
        mutate(row) { received, fields in
            let framing: BodyFraming
            do {
                guard let head = try request(received, &fields) else { return }
                let length = Int(head.length)
                #expect(length <= received.count)
                for part in [head.methodText, head.target, head.path, head.authority, head.upgrade] {
                    #expect(part.end <= length)
                }
                #expect(head.pathCount <= head.path.count)
                framing = head.framing
                for index in 0..<fields.count { #expect(fields[index].line.end <= length - 2) }
                guard framing == .chunked else { return }
                let rest = Array(received[length...])
                let whole = Result { () throws(SyntaxError) in try readChunked(rest, pieces: [rest.count + 1]) }
                let bytewise = Result { () throws(SyntaxError) in try readChunked(rest, pieces: [1]) }
                #expect(whole == bytewise)
            } catch {}
        }
    }

    @Test("No response crashes the parser or makes it point outside the head", arguments: ConformanceCase.responses)
    func responses(_ row: ConformanceCase) {
        mutate(row) { received, fields in
            do {
                guard let head = try response(received, &fields) else { return }
                #expect(Int(head.length) <= received.count)
                #expect(head.statusLine.end <= Int(head.length))
                #expect(head.status >= 100)
            } catch {}
        }
    }

    /// Hands out copies of the row's first bytes with a few of them changed, removed or doubled.
    private func mutate(_ row: ConformanceCase, _ check: ([UInt8], inout FieldTable) -> Void) {
        var random = SeededRandom(seed: row.id.utf8.reduce(0) { $0 &* 31 &+ UInt64($1) })
        let telling = bytes("\0\t\n\r \"#%,/:;=?@[]A0\u{7F}\u{80}\u{FF}")
        var fields = FieldTable()
        for _ in 0..<50 {
            var received = Array(row.raw.prefix(400))
            for _ in 0..<Int.random(in: 1...3, using: &random) where !received.isEmpty {
                let place = Int.random(in: 0..<received.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: received.remove(at: place)
                case 1: received.insert(received[place], at: place)
                case 2: received.insert(telling.randomElement(using: &random) ?? 0, at: place)
                default: received[place] = telling.randomElement(using: &random) ?? 0
                }
            }
            check(received, &fields)
        }
    }
}
