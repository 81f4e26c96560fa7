// SPDX-License-Identifier: Apache-2.0
import Propagation

extension MetricsLayout {
    /// Cells for what one configuration names. Routes are counted over all listeners, as in span records.
    init(_ configuration: Configuration) {
        self.init(
            routes: configuration.listeners.flatMap { listener in listener.routes.map { "\(listener.name)/\($0.name)" }
            },
            upstreams: configuration.upstreams.map(\.name), upstreamErrors: ProxyError.labels,
            localReplies: ProxyError.labels,
            malformedFields: (0..<MalformedFields.kindCount).map { MalformedFields.label($0).description },
            samplingReasons: SamplingReason.allCases.map(\.label.description))
    }
}
