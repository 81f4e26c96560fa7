// SPDX-License-Identifier: Apache-2.0

/// Why an exchange or an attempt failed, with OpenTelemetry's `error.type` text.
public enum SpanError: UInt8, BitwiseCopyable, CaseIterable, Sendable {
    case none, timeout, connectionRefused, connectionReset, connectTimeout, nameResolution, protocolError
    case noRoute, malformedRequest, limit, clientClosed, unavailable, shutdown

    /// `error.type`; empty for ``none``.
    public var text: String {
        switch self {
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

    /// Envoy's `response_flags`.
    var envoyFlags: String {
        switch self {
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
