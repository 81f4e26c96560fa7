// SPDX-License-Identifier: Apache-2.0
import Propagation
final class WorkerMetrics: Sendable {
    func upstreamConnection(isReused: Bool) {}
    func upstreamError(_ upstream: UInt16, _ error: ProxyError) {}
    func replayed() {}
    func localReply(_ error: ProxyError) {}
    func requestEnded(route: UInt16, status: UInt16, microseconds: UInt64) {}
    func propagated(_ extracted: Extracted) {}
    func sampled(_ reason: SamplingReason) {}
    func connectionAccepted() {}
    func connectionRefused() {}
    func gauges(downstreams: Int, upstreamsOpen: Int, upstreamsIdle: Int, buffersInUse: Int, buffersRefused: Int, acceptsRefused: Int) {}
}
