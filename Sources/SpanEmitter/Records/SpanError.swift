// SPDX-License-Identifier: Apache-2.0
public import TLS

/// Why an exchange or an attempt failed, with OpenTelemetry's `error.type` text: a number, for records.
public struct SpanError: RawRepresentable, BitwiseCopyable, Equatable, CaseIterable, Sendable {
    /// The plain causes, then the failures of TLS.
    public let rawValue: UInt8

    /// `nil` for a number that stands for nothing.
    public init?(rawValue: UInt8) {
        guard Int(rawValue) < Self.firstTLS + TLSFailure.allCases.count else { return nil }
        self.rawValue = rawValue
    }

    private init(cause: Cause) { rawValue = cause.rawValue }

    /// The attempt ended in or through TLS.
    public init(_ failure: TLSFailure) { rawValue = UInt8(truncatingIfNeeded: Self.firstTLS) + failure.rawValue }

    private static let firstTLS = Cause.allCases.count

    private enum Cause: UInt8, CaseIterable {
        case none, timeout, connectionRefused, connectionReset, connectTimeout, nameResolution, protocolError
        case noRoute, malformedRequest, limit, clientClosed, unavailable, shutdown
    }

    public static var none: SpanError { SpanError(cause: .none) }
    public static var timeout: SpanError { SpanError(cause: .timeout) }
    public static var connectionRefused: SpanError { SpanError(cause: .connectionRefused) }
    public static var connectionReset: SpanError { SpanError(cause: .connectionReset) }
    public static var connectTimeout: SpanError { SpanError(cause: .connectTimeout) }
    public static var nameResolution: SpanError { SpanError(cause: .nameResolution) }
    public static var protocolError: SpanError { SpanError(cause: .protocolError) }
    public static var noRoute: SpanError { SpanError(cause: .noRoute) }
    public static var malformedRequest: SpanError { SpanError(cause: .malformedRequest) }
    public static var limit: SpanError { SpanError(cause: .limit) }
    public static var clientClosed: SpanError { SpanError(cause: .clientClosed) }
    public static var unavailable: SpanError { SpanError(cause: .unavailable) }
    public static var shutdown: SpanError { SpanError(cause: .shutdown) }

    public static var allCases: [SpanError] {
        Cause.allCases.map { SpanError(cause: $0) } + TLSFailure.allCases.map { SpanError($0) }
    }

    /// `error.type`; empty for ``none``.
    public var text: String {
        guard let cause = Cause(rawValue: rawValue) else { return "tls_\(tlsFailure?.name.description ?? "failed")" }
        return switch cause {
        case .none: ""
        case .timeout: "timeout"
        case .connectionRefused: "connection_refused"
        case .connectionReset: "connection_reset"
        case .connectTimeout: "connect_timeout"
        case .nameResolution: "name_resolution"
        case .protocolError: "protocol_error"
        case .noRoute: "no_route"
        case .malformedRequest: "malformed_request"
        case .limit: "limit"
        case .clientClosed: "client_closed"
        case .unavailable: "unavailable"
        case .shutdown: "shutdown"
        }
    }

    private var tlsFailure: TLSFailure? {
        Int(rawValue) < Self.firstTLS ? nil : TLSFailure(rawValue: rawValue - UInt8(Self.firstTLS))
    }

    /// Envoy's `response_flags`.
    var envoyFlags: String {
        guard let cause = Cause(rawValue: rawValue) else { return "UF" }
        return switch cause {
        case .none: "-"
        case .timeout: "UT"
        case .connectionRefused, .connectTimeout: "UF"
        case .connectionReset: "UC"
        case .nameResolution, .unavailable: "UH"
        case .protocolError: "UPE"
        case .noRoute: "NR"
        case .malformedRequest: "DPE"
        case .limit: "UO"
        case .clientClosed: "DC"
        case .shutdown: "UC"
        }
    }
}
