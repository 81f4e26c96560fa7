// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP1
import Propagation
import SpanEmitter

/// Everything an operator decides, checked and resolved: no later code meets a wrong value.
///
/// Made by ``ConfigurationLoader`` only. Times are milliseconds, sizes bytes.
public struct Configuration: Sendable {
    /// Reported as the name of this service in every span.
    var service: String
    /// At least 1; `auto` is resolved to the CPUs this process may run on.
    var workers: Int
    /// Not empty.
    var listeners: [Listener]
    /// What routes index. May be empty if every route answers by itself.
    var upstreams: [Upstream]
    var tracing: Tracing
    /// `nil`: switched off.
    var admin: Admin?
    var log: Log
    var shutdown: Shutdown
    var limits: Limits
}

extension Configuration {
    struct Tracing: Sendable {
        /// Formats read, the first complete one wins.
        var extract: FormatList
        /// Formats written; what came in any of the known formats never passes through.
        var inject: FormatList
        var mode: SpanMode
        /// 64 or 128, for traces that begin here.
        var traceIDBits: Int
        var sampling: Sampling
        var exporters: [ExporterConfiguration]
    }

    struct Sampling: Sendable {
        var threshold: SamplingThreshold
        /// New traces a second and process; 0 is no cap. Divide by the workers.
        var maxTracesPerSecond: Int
        /// Debug traces a second and process that are honoured.
        var debugPerSecond: Int
        /// Never recorded unless the route says otherwise.
        var neverPaths: [PathGlob]
    }

    struct Admin: Sendable, Equatable {
        var address: ListenAddress
        /// Peers that are not loopback are answered too.
        var allowsRemote: Bool
    }

    struct Log: Sendable, Equatable {
        var level: LogLevel
        var format: LogFormat
    }

    struct Shutdown: Sendable, Equatable {
        /// From not ready to no longer accepting; may be 0.
        var drainDelayMilliseconds: Int
        /// For exchanges in flight.
        var graceMilliseconds: Int
        /// For the last spans.
        var flushMilliseconds: Int
    }

    struct Limits: Sendable, Equatable {
        var headBytes: Int
        var fieldCount: Int
        var targetBytes: Int
        /// Of a request body; 0 is unlimited.
        var bodyBytes: UInt64
        /// Downstream connections of the process; 0 leaves it to the limit of open descriptors.
        var connections: Int
        /// Memory of all buffers of the process.
        var bufferBytes: Int

        /// For the HTTP/1.1 parsers.
        var head: HeadLimits {
            var limits = HeadLimits()
            limits.headBytes = headBytes
            limits.fieldCount = fieldCount
            limits.targetBytes = targetBytes
            return limits
        }
    }

    /// Where a socket listens.
    struct ListenAddress: Sendable, Equatable, CustomStringConvertible {
        var socketAddress: SocketAddress

        var description: String { socketAddress.description }
    }
}
