// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HTTP1

@Suite("A head that comes with its lines")
struct HeadLinesTests {
    @Test("A line reaches to the next one, also where a blank follows its value")
    func blanks() throws {
        let text = Array("GET / HTTP/1.1\r\nhost: a\r\ncookie: x=1; \r\naccept: b\r\ncookie: y=2; \r\n\r\n".utf8)
        var lines = HeadLines()
        lines.append(.host, name: 16, count: 4, value: 22, count: 1)
        lines.append(.cookie, name: 25, count: 6, value: 33, count: 4)
        lines.append(.other, name: 40, count: 6, value: 48, count: 1)
        lines.append(.cookie, name: 51, count: 6, value: 59, count: 4)
        lines.finish(headCount: text.count)
        var fields = FieldTable()
        let head = try readRequestHead(text.span, lines: lines, limits: HeadLimits(), fields: &fields)
        #expect(Int(head.length) == text.count && fields.count == 4)
        var end = 16
        for index in 0..<fields.count {
            #expect(fields[index].line.range.lowerBound == end)
            end = fields[index].line.end
            #expect(text[end - 1] == UInt8(ascii: "\n"))
        }
        #expect(end == text.count - 2)
    }

    @Test("From one notable line to the next, a walk meets each of them and no other, however the head was read")
    func notable() throws {
        let text = Array("GET / HTTP/1.1\r\nA: 1\r\nhost: a\r\nb: 2\r\nx-b3-sampled: 1\r\nvia: c\r\nd: 3\r\n\r\n".utf8)
        var lines = HeadLines()
        lines.append(.other, name: 16, count: 1, value: 19, count: 1)
        lines.append(.host, name: 22, count: 4, value: 28, count: 1)
        lines.append(.other, name: 31, count: 1, value: 34, count: 1)
        lines.append(.b3Sampled, name: 37, count: 12, value: 51, count: 1)
        lines.append(.via, name: 54, count: 3, value: 59, count: 1)
        lines.append(.other, name: 62, count: 1, value: 65, count: 1)
        lines.finish(headCount: text.count)
        var noted = FieldTable()
        var parsed = FieldTable()
        _ = try readRequestHead(text.span, lines: lines, limits: HeadLimits(), fields: &noted)
        _ = try parseRequestHead(text.span, alreadySeen: 0, limits: HeadLimits(), fields: &parsed)
        #expect(walk(noted) == [.host, .b3Sampled, .via])
        #expect(walk(parsed) == [.host, .b3Sampled, .via])
    }

    private func walk(_ fields: borrowing FieldTable) -> [FieldKind] {
        var kinds: [FieldKind] = []
        var next = fields.firstNotable
        while next < fields.count {
            kinds.append(fields[next].kind)
            next = Int(fields[next].nextNotable)
        }
        return kinds
    }
}
