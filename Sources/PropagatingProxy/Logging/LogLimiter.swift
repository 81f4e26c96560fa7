// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// Lets one line in a while through for each key, and counts the others.
final class LogLimiter: Sendable {
    private struct Entry {
        var next: UInt64
        var suppressed: Int
        let level: LogLevel
    }

    /// As many entries as there are keys in the code.
    private let entries = Locked<[String: Entry]>([:])

    /// - Returns: how many lines were suppressed since the last one; `nil` to suppress this one.
    func pass(
        _ key: String, _ level: LogLevel, everySeconds seconds: UInt64 = 1, monotonicMicroseconds now: UInt64
    ) -> Int? {
        entries.withLock { entries in
            guard let entry = entries[key], now < entry.next else {
                let suppressed = entries[key]?.suppressed ?? 0
                entries[key] = Entry(next: now + seconds * 1_000_000, suppressed: 0, level: level)
                return suppressed
            }
            entries[key]?.suppressed += 1
            return nil
        }
    }

    /// What was suppressed and not told yet, which counts as told now.
    func takeRemaining() -> [(key: String, level: LogLevel, count: Int)] {
        entries.withLock { entries in
            let remaining = entries.filter { $0.value.suppressed > 0 }
            for key in remaining.keys { entries[key]?.suppressed = 0 }
            return remaining.sorted { $0.key < $1.key }.map { ($0.key, $0.value.level, $0.value.suppressed) }
        }
    }
}
