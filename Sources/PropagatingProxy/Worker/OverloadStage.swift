// SPDX-License-Identifier: Apache-2.0

/// What a worker gives up while its buffers run short, the least useful first; each stage includes those before it.
enum OverloadStage: Int, BitwiseCopyable, Comparable {
    case normal
    /// Spans are dropped, and counted.
    case spans
    /// Connections end after their response, idle ones at once.
    case keepAlive
    /// New requests are answered with 503.
    case requests

    static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// From how many pages of buffers on a worker is in which stage.
struct OverloadMarks: BitwiseCopyable {
    let spans: Int
    let keepAlive: Int
    let requests: Int

    /// - Parameter pages: the worker's share of `limits.buffers`.
    init(pages: Int) {
        spans = pages * 70 / 100
        keepAlive = pages * 80 / 100
        requests = pages * 90 / 100
    }

    func stage(atPages used: Int) -> OverloadStage {
        if used >= requests { return .requests }
        if used >= keepAlive { return .keepAlive }
        return used >= spans ? .spans : .normal
    }
}
