// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1

/// Moves one message body from a received buffer to a socket, for either direction.
enum Pump {
    enum Outcome: BitwiseCopyable {
        /// Everything at hand has gone; more must be received.
        case needsSource
        /// The sink takes no more now; it will report ``Readiness/writable``.
        case blocked
        /// The whole message has gone to the kernel.
        case finished
        case malformed(SyntaxError)
        /// - Parameter tookBytes: whether the kernel took some in this run.
        case sinkFailed(tookBytes: Bool)
        /// Bytes must be re-framed, and there is no memory to do it in.
        case outOfBuffers
    }

    /// Sends what `output` holds, then body bytes from `input`, until one side has to be waited for.
    ///
    /// Bytes that may go as they are go straight from `input`, in one call with what `output` holds.
    ///
    /// - Parameters:
    ///   - skipped: bytes at the front of `input` that are not of the body any more; kept when `retains`.
    ///   - retains: whether sent bytes stay in `input`, behind `skipped`, for a replay.
    static func run(
        _ relay: inout BodyRelay, from input: inout Buffer, skipping skipped: inout Int, retains: Bool,
        through output: inout Buffer, to sink: Socket
    ) -> Outcome {
        var tookBytes = false
        while true {
            let available = relay.isComplete ? 0 : input.count - skipped
            if let count = relay.verbatimCount(of: available) {
                guard count > 0 || !output.isEmpty else { return relay.isComplete ? .finished : .needsSource }
                switch send(output: &output, input: input, from: skipped, count: count, to: sink) {
                case .sent(let passed, let isWhole):
                    tookBytes = true
                    relay.passed(passed)
                    if retains { skipped += passed } else { drop(passed, from: &input, behind: &skipped) }
                    guard isWhole else {
                        sink.awaitWritable()
                        return .blocked
                    }
                    if relay.isComplete { return .finished }
                case .wouldBlock:
                    sink.awaitWritable()
                    return .blocked
                case .failed: return .sinkFailed(tookBytes: tookBytes)
                }
            } else {
                guard available == 0 || output.reserve() else { return .outOfBuffers }
                do throws(SyntaxError) {
                    let start = skipped
                    // bounded: what was skipped is of the input
                    let used = try relay.reframe(input.readable.extracting(start..<input.count), into: &output) {
                        sink.sendTrailers($0)
                    }
                    if retains { skipped += used } else { drop(used, from: &input, behind: &skipped) }
                    if output.isEmpty { return relay.isComplete ? .finished : .needsSource }
                } catch {
                    return .malformed(error)
                }
                switch sink.flush(&output) {
                case .sent where output.isEmpty: tookBytes = true
                case .sent, .wouldBlock:
                    sink.awaitWritable()
                    return .blocked
                case .failed: return .sinkFailed(tookBytes: tookBytes)
                }
            }
        }
    }

    private enum Sent: BitwiseCopyable {
        /// - Parameter body: body bytes the kernel took.
        case sent(body: Int, isWhole: Bool)
        case wouldBlock
        case failed
    }

    private static func send(
        output: inout Buffer, input: borrowing Buffer, from start: Int, count: Int, to sink: Socket
    ) -> Sent {
        let body = input.readable.extracting(start..<start + count)  // bounded: count is of what lies behind start
        let pending = output.count
        let outcome =
            if pending == 0 { sink.send(body) } else if count == 0 { sink.send(output.readable) } else {
                sink.send(output.readable, body)
            }
        switch outcome {
        case .sent(let sent):
            output.consume(min(sent, pending))
            return .sent(body: max(0, sent - pending), isWhole: sent == pending + count)
        case .wouldBlock: return .wouldBlock
        case .failed: return .failed
        }
    }

    private static func drop(_ count: Int, from input: inout Buffer, behind skipped: inout Int) {
        guard count > 0 else { return }
        input.consume(skipped + count)
        skipped = 0
    }
}
