// SPDX-License-Identifier: Apache-2.0

/// An ordered set of formats, without a heap reference.
// bounded: count is at most three, because each format is kept once
public struct FormatList: BitwiseCopyable, Sendable, ExpressibleByArrayLiteral {
    private var formats = InlineArray<3, TraceFormat>(repeating: .b3Single)
    public private(set) var count = 0

    /// Keeps the first of equal formats.
    public init(_ formats: [TraceFormat]) {
        for format in formats where !contains(format) {
            self.formats[count] = format
            count += 1
        }
    }

    public init(arrayLiteral elements: TraceFormat...) { self.init(elements) }

    public func contains(_ format: TraceFormat) -> Bool {
        for index in 0..<count where formats[index] == format { return true }
        return false
    }

    /// The format at `index`, which must be less than ``count``.
    public subscript(index: Int) -> TraceFormat { formats[index] }
}

/// A way to write a trace context into fields.
public enum TraceFormat: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    /// One `b3` field.
    case b3Single
    /// `X-B3-TraceId` and its sisters.
    case b3Multi
    /// `traceparent` and `tracestate` (W3C).
    case traceContext

    /// The name in configuration files and in OTEL_PROPAGATORS.
    public init?(name: String) {
        switch name {
        case "b3": self = .b3Single
        case "b3multi": self = .b3Multi
        case "tracecontext": self = .traceContext
        default: return nil
        }
    }
}
