// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Synchronization

/// Lines on their way from any thread to the writer thread. Full, it drops what comes and counts it.
final class LogQueue: Sendable {
    static let lineLimit = 256
    static let byteLimit = 65_536

    private struct State {
        var lines: [[UInt8]] = []
        var byteCount = 0
        /// Dropped since the writer last said so, and ever.
        var unreported = 0
        var dropped: UInt64 = 0
        var isWriting = false
        var isClosed = false
    }

    private let state = Mutex(State())
    private let filled: Doorbell
    private let drained: Doorbell

    init() throws(EventLoopError) {
        filled = try Doorbell()
        drained = try Doorbell()
    }

    /// Never waits for the writer.
    func append(_ line: [UInt8]) {
        let isFirst = state.withLock { state in
            guard state.lines.count < Self.lineLimit, state.byteCount + line.count <= Self.byteLimit else {
                state.unreported += 1
                state.dropped += 1
                return false
            }
            state.lines.append(line)
            state.byteCount += line.count
            return state.lines.count == 1
        }
        if isFirst { filled.ring() }
    }

    var droppedCount: UInt64 { state.withLock { $0.dropped } }

    /// Everything queued becomes one piece for `write`, again and again, until ``close()``.
    ///
    /// - Parameter report: makes the line that tells of dropped ones.
    func drain(report: (_ dropped: Int) -> [UInt8], write: ([UInt8]) -> Void) {
        while true {
            let (piece, isClosed) = take(report: report)
            if !piece.isEmpty { write(piece) }
            state.withLock { $0.isWriting = false }
            drained.ring()
            if piece.isEmpty {
                if isClosed { return }
                filled.wait()
            }
        }
    }

    private func take(report: (Int) -> [UInt8]) -> (piece: [UInt8], isClosed: Bool) {
        state.withLock { state in
            var piece = Array(state.lines.joined())
            if state.unreported > 0 { piece += report(state.unreported) }
            state.lines.removeAll(keepingCapacity: true)
            state.byteCount = 0
            state.unreported = 0
            state.isWriting = !piece.isEmpty
            return (piece, state.isClosed)
        }
    }

    /// Waits until all lines are written.
    ///
    /// - Returns: false if it took too long.
    func flush(milliseconds: Int) -> Bool {
        let end = Clock.monotonicMicroseconds + UInt64(max(0, milliseconds)) * 1000
        filled.ring()
        while !state.withLock({ $0.lines.isEmpty && $0.unreported == 0 && !$0.isWriting }) {
            let now = Clock.monotonicMicroseconds
            guard now < end else { return false }
            drained.wait(milliseconds: Int((end - now) / 1000) + 1)
        }
        return true
    }

    /// The writer ends once everything is written.
    func close() {
        state.withLock { $0.isClosed = true }
        filled.ring()
    }
}
