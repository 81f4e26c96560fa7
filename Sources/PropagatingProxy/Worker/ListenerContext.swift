// SPDX-License-Identifier: Apache-2.0
import HTTP1
import Propagation

/// What one worker knows of one listener. Built from the configuration, constant afterwards.
final class ListenerContext {
    /// Index in the configuration, for span records.
    let number: UInt16
    let routes: RouteTable
    private let contexts: [RouteContext]
    let tracing: TracingContext
    let trust: Trust
    let timeouts: ClientTimeouts
    let headLimits: HeadLimits
    let responseLimits: HeadLimits
    let forwarded: ForwardedPolicy
    let addsVia: Bool
    /// Bytes of a request body; 0 is unlimited.
    let bodyLimit: UInt64

    init(
        number: UInt16, routes: RouteTable, contexts: [RouteContext], tracing: TracingContext, trust: Trust,
        timeouts: ClientTimeouts, headLimits: HeadLimits, forwarded: ForwardedPolicy, addsVia: Bool, bodyLimit: UInt64
    ) {
        self.number = number
        self.routes = routes
        self.contexts = contexts
        self.tracing = tracing
        self.trust = trust
        self.timeouts = timeouts
        self.headLimits = headLimits
        responseLimits = HeadLimits()
        self.forwarded = forwarded
        self.addsVia = addsVia
        self.bodyLimit = bodyLimit
    }

    /// - Parameter index: as the route table answers.
    func route(_ index: Int) -> RouteContext? {
        contexts.indices.contains(index) ? contexts[index] : nil
    }
}

/// How long a listener waits for its downstream peers.
struct ClientTimeouts: BitwiseCopyable, Sendable {
    var requestHeadMilliseconds = 10_000
    var requestBodyIdleMilliseconds = 30_000
    var keepAliveMilliseconds = 60_000
}

/// How traces are read, continued and sampled; one value for all listeners.
struct TracingContext: BitwiseCopyable, Sendable {
    var extract: FormatList
    var inject: FormatList
    var mode: SpanMode
    var traceIDWidth: TraceIDWidth
}
