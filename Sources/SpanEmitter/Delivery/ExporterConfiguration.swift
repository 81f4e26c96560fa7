// SPDX-License-Identifier: Apache-2.0

/// One collector: where, how, and how much may wait for it. Times are milliseconds, sizes bytes.
public struct ExporterConfiguration: Sendable, Equatable {
    /// A field of every post.
    public struct Field: Sendable, Equatable {
        public let name: String
        public let value: Secret

        /// `nil` if it would break the head of a post: the name is no token, or the value has control characters.
        public init?(name: String, value: Secret) {
            let marks = Set("!#$%&'*+-.^_`|~".utf8)
            let isToken = name.utf8.allSatisfy { byte in
                marks.contains(byte) || byte &- UInt8(ascii: "0") < 10 || (byte | 0x20) &- UInt8(ascii: "a") < 26
            }
            guard isToken, !name.isEmpty else { return nil }
            guard value.exposed.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 9 }) else { return nil }
            self.name = name
            self.value = value
        }
    }

    /// In metrics and logs, such as `zipkin-0`.
    public var name: String
    public var endpoint: CollectorURL
    public var encoding: SpanEncoding
    public var profile: TagProfile
    public var headers: [Field]
    /// Beyond it the newest spans are dropped, and counted.
    public var queueSpans: Int
    public var queueBytes: Int
    public var flushIntervalMilliseconds: Int
    /// A post holds about so much; a little more when the last span passes it.
    public var batchBytes: Int
    /// From connecting to the end of the response.
    public var timeoutMilliseconds: Int
    /// Of an https endpoint; `nil` for http.
    public var tls: ExporterTLS?
    /// Of the first retry, see ``RetryDelay``.
    var firstRetryMilliseconds = 1000

    public init(
        name: String, endpoint: CollectorURL, encoding: SpanEncoding, profile: TagProfile? = nil,
        headers: [Field] = [], queueSpans: Int = 10_000, queueBytes: Int = 16 << 20,
        flushIntervalMilliseconds: Int = 1000, batchBytes: Int = 500_000, timeoutMilliseconds: Int = 10_000,
        tls: ExporterTLS? = nil
    ) {
        self.name = name
        self.endpoint = endpoint
        self.encoding = encoding
        self.profile = profile ?? (encoding == .otlpProtobuf ? .otel : .zipkin)
        self.headers = headers
        self.queueSpans = queueSpans
        self.queueBytes = queueBytes
        self.flushIntervalMilliseconds = flushIntervalMilliseconds
        self.batchBytes = batchBytes
        self.timeoutMilliseconds = timeoutMilliseconds
        self.tls = tls ?? (endpoint.isSecure ? ExporterTLS() : nil)
    }
}
