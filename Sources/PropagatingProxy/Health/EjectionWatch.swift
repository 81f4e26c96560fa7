// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// Looks in each upstream's interval whether ejected endpoints may come back; on the control thread.
final class EjectionWatch {
    private var timers: [LoopTimer] = []

    init(_ upstreams: [Configuration.Upstream], board: EndpointBoard, on loop: EventLoop) throws(EventLoopError) {
        for (number, upstream) in upstreams.enumerated() {
            guard let rule = upstream.outlierDetection else { continue }
            let timer = try LoopTimer(on: loop, repeats: true) { board.lookAtEjected(of: number) }
            timer.start(milliseconds: rule.intervalMilliseconds)
            timers.append(timer)
        }
    }
}

/// What one worker tells the board of one endpoint's attempts.
struct EjectionJudge {
    let rule: Configuration.OutlierDetection
    let board: EndpointBoard

    func note(_ outcome: AttemptOutcome, at record: EndpointRecord) {
        if let reason = record.note(outcome, rule) { board.eject(record, reason) }
    }
}
