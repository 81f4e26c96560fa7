// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Foundation
import Synchronization
import Testing

@testable import PropagatingProxy

@Suite("The log")
struct LoggingTests {
    /// 2026-11-21T10:00:00.123Z
    private let time: UInt64 = 1_795_255_200_123_456

    private func text(_ level: LogLevel, _ message: String, _ fields: LogFields = [:]) -> String {
        String(decoding: LogLine.text(level, at: time, message, fields), as: UTF8.self)
    }

    private func json(_ message: String, _ fields: LogFields = [:]) throws -> [String: Any] {
        let line = LogLine.json(.warn, at: time, message, fields)
        #expect(line.last == UInt8(ascii: "\n"))
        #expect(line.filter { $0 < 0x20 || $0 == 0x7f }.count == 1, "one newline and no other control byte")
        return try #require(try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])
    }

    @Test("A text line has time, level, message and fields in order")
    func textLine() {
        #expect(
            text(.info, "listening", ["name": "front", "port": 5000, "note": "two words", "empty": ""])
                == "2026-11-21T10:00:00.123Z INFO  listening name=front port=5000 note=\"two words\" empty=\"\"\n")
        #expect(text(.error, "x").hasPrefix("2026-11-21T10:00:00.123Z ERROR x"))
    }

    @Test("Dates are right on leap days and at the ends of years")
    func dates() {
        for (seconds, expected) in [
            (UInt64(0), "1970-01-01T00:00:00"), (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"), (1_709_251_199, "2024-02-29T23:59:59"),
            (1_735_689_599, "2024-12-31T23:59:59"), (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            let line = String(decoding: LogLine.text(.info, at: seconds * 1_000_000, "", [:]), as: UTF8.self)
            #expect(line.hasPrefix(expected))
        }
    }

    @Test("A JSON line is one object with bare numbers and booleans")
    func jsonLine() throws {
        let object = try json("listening", ["port": 5000, "tls": false, "name": "fr\"ont", "big": UInt64.max])
        #expect(object["time"] as? String == "2026-11-21T10:00:00.123Z")
        #expect(object["level"] as? String == "warn")
        #expect(object["message"] as? String == "listening")
        #expect(object["port"] as? Int == 5000)
        #expect(object["tls"] as? Bool == false)
        #expect(object["name"] as? String == "fr\"ont")
    }

    @Test("No value can forge a line, a field or a terminal's command")
    func escaping() throws {
        let evil = (0..<0xa0).compactMap { Unicode.Scalar(UInt32($0)) }.map(String.init).joined() + "é=\u{1F600}"
        let line = text(.warn, "bad " + evil, ["k": evil, "a b": "x"])
        #expect(line.dropLast().unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) })
        #expect(line.contains("\\n\\u000b\\u000c\\r"))
        #expect(line.contains("\\u007f\\u0080"))
        #expect(line.contains("\\\"") && line.contains("\\\\"))
        #expect(text(.warn, "m", ["k": "v\n2026 ERROR forged"]).split(separator: "\n").count == 1)
        #expect(try json(evil, ["k": evil])["k"] as? String == evil)
    }

    @Test("Messages, values, fields and lines are bounded")
    func bounds() throws {
        let long = String(repeating: "é", count: 400)
        let object = try json(long, ["k": long])
        #expect(object["k"] as? String == String(repeating: "é", count: 256) + "…")
        let many = Array(repeating: long, count: 100)
        let line = text(.warn, long, ["a": many, "b": many, "c": many])
        #expect(line.utf8.count < 3000)
        let wide: LogFields = [
            "0": long, "1": long, "2": long, "3": long, "4": long, "5": long, "6": long, "7": long, "8": long,
            "9": long, "10": long, "11": long, "12": long, "13": long, "14": long, "15": long, "16": long,
        ]
        #expect(text(.warn, long, wide).utf8.count < LogLine.lineLimit + 2 * LogLine.valueLimit)
        let narrow: LogFields = [
            "0": 1, "1": 1, "2": 1, "3": 1, "4": 1, "5": 1, "6": 1, "7": 1, "8": 1, "9": 1, "10": 1, "11": 1,
            "12": 1, "13": 1, "14": 1, "15": 1, "16": 1,
        ]
        #expect(!text(.warn, "m", narrow).contains("16=1"))
    }

    @Test("Lines of a lesser level cost nothing, not even their fields")
    func levels() throws {
        let sink = Sink()
        let log = try Log(level: .warn, format: .text) { sink.write($0) }
        func never() -> LogFields {
            Issue.record("built in vain")
            return [:]
        }
        log.info("i", never())
        log.debug("d", never())
        log.limited(.info, key: "k", nil, never())
        log.warn("w")
        log.error("e", ["a": 1])
        log.stop(milliseconds: 60_000)
        #expect(sink.lines.map { $0.dropFirst(25) } == ["WARN  w", "ERROR e a=1"])
    }

    @Test("One line a second passes per key, and tells how many did not")
    func limits() throws {
        let sink = Sink()
        let now = ManualTime()
        let log = try Log(level: .info, format: .text, monotonicMicroseconds: { now.value }) { sink.write($0) }
        for _ in 0..<5 { log.limited(.warn, key: "connect failed", nil, ["upstream": "a"]) }
        log.limited(.warn, key: "other")
        now.advance(1_000_000)
        log.limited(.warn, key: "connect failed", "connect failed again")
        log.limited(.warn, key: "connect failed")
        log.limited(.warn, key: "connect failed")
        log.stop(milliseconds: 60_000)
        #expect(
            sink.lines.map { $0.dropFirst(25) } == [
                "WARN  connect failed upstream=a", "WARN  other", "WARN  connect failed again suppressed=4",
                "WARN  connect failed suppressed=2",
            ])
    }

    @Test("A reader that does not read blocks nobody; dropped lines are counted and told")
    func blockedReader() throws {
        let sink = Sink()
        let gate = try Doorbell()
        let entered = try Doorbell()
        let log = try Log(level: .info, format: .json) { piece in
            entered.ring()
            gate.wait()
            gate.ring()
            sink.write(piece)
        }
        log.info("first")
        entered.wait()
        for number in 0..<1000 { log.info("line", ["number": number]) }
        #expect(log.droppedCount == 1000 - 256)
        #expect(!log.flush(milliseconds: 20))
        gate.ring()
        #expect(log.flush(milliseconds: 60_000))
        let lines = sink.lines
        #expect(lines.count == 1 + 256 + 1)
        #expect(lines[256].contains("\"number\":255"))
        #expect(lines[257].contains("\"message\":\"log lines dropped\",\"count\":744"))
        log.stop(milliseconds: 60_000)
    }

    @Test("The queue is bounded in bytes too")
    func byteBound() throws {
        let sink = Sink()
        let gate = try Doorbell()
        let entered = try Doorbell()
        let log = try Log(level: .info, format: .text) { piece in
            entered.ring()
            gate.wait()
            gate.ring()
            sink.write(piece)
        }
        log.info("first")
        entered.wait()
        let long = String(repeating: "x", count: 500)
        for _ in 0..<256 { log.info(long) }
        #expect(log.droppedCount > 100)
        gate.ring()
        log.stop(milliseconds: 60_000)
        #expect(sink.byteCount < 2 * LogQueue.byteLimit)
    }

    @Test("Lines of several threads stay whole and none is lost while there is room")
    func threads() throws {
        let sink = Sink()
        let log = try Log(level: .info, format: .text) { sink.write($0) }
        let threads = try (0..<4).map { thread in
            try SystemThread(name: "logger") {
                for number in 0..<50 { log.info("line", ["thread": thread, "number": number]) }
            }
        }
        for thread in threads { thread.join() }
        log.stop(milliseconds: 60_000)
        #expect(sink.lines.count == 200)
        #expect(Set(sink.lines.map { $0.dropFirst(25) }).count == 200)
    }
}

/// What the log wrote.
private final class Sink: Sendable {
    private let bytes = Locked<[UInt8]>([])
    func write(_ piece: [UInt8]) { bytes.withLock { $0 += piece } }
    var byteCount: Int { bytes.withLock { $0.count } }
    var lines: [String] {
        String(decoding: bytes.withLock { $0 }, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}

private final class ManualTime: Sendable {
    private let now = Atomic<UInt64>(1)
    var value: UInt64 { now.load(ordering: .relaxed) }
    func advance(_ microseconds: UInt64) { now.wrappingAdd(microseconds, ordering: .relaxed) }
}
