// SPDX-License-Identifier: Apache-2.0

/// One collector: where, in which form, and how much may wait for it.
public struct ExporterConfiguration: Sendable {
    /// The label in metrics and log lines, such as `zipkin-0`.
    public var name: String
    public var endpoint: CollectorURL
    public var encoding: SpanEncoding
    public var profile: TagProfile
    /// Further fields of each post.
    public var headers: [(String, Secret)]
    /// Spans that may wait; beyond, the newest are dropped.
    public var queueSpans = 10_000
    /// Encoded bytes that may wait.
    public var queueBytes = 16 << 20
    /// The longest a span waits for others to share its post.
    public var flushMilliseconds = 1000
    /// Encoded bytes of one post.
    public var batchBytes = 500_000
    /// From the beginning of a post to the end of its response.
    public var timeoutMilliseconds = 10_000

    public init(
        name: String, endpoint: CollectorURL, encoding: SpanEncoding, profile: TagProfile,
        headers: [(String, Secret)] = []
    ) {
        self.name = name
        self.endpoint = endpoint
        self.encoding = encoding
        self.profile = profile
        self.headers = headers
    }
}
