// SPDX-License-Identifier: Apache-2.0

/// How a gRPC call ended, by the numbers of `grpc-status`; and two values for "not a status".
public enum GRPCStatus: UInt8, BitwiseCopyable, CaseIterable, Sendable {
    case ok, cancelled, unknown, invalidArgument, deadlineExceeded, notFound, alreadyExists, permissionDenied
    case resourceExhausted, failedPrecondition, aborted, outOfRange, unimplemented, internalError, unavailable
    case dataLoss, unauthenticated
    /// A call that has no status, or has not ended.
    case missing
    /// The exchange is no gRPC call.
    case notGRPC

    /// The value of `grpc-status`: decimal digits. What is none, or above 16, is ``unknown``, as callers read it.
    public init(text: Span<UInt8>) {
        var code: UInt8 = 0
        for index in text.indices {
            let digit = text[index] &- UInt8(ascii: "0")
            guard digit < 10, code < 10 else {
                self = .unknown
                return
            }
            code = code * 10 + digit
        }
        self = text.isEmpty ? .unknown : GRPCStatus(code: code)
    }

    private init(code: UInt8) {
        self = code < GRPCStatus.missing.rawValue ? GRPCStatus(rawValue: code) ?? .unknown : .unknown
    }

    /// The exchange is a gRPC call, ended or not.
    public var isCall: Bool { self != .notGRPC }
    /// One of the seventeen statuses.
    public var isKnown: Bool { rawValue < GRPCStatus.missing.rawValue }

    /// As specifications and libraries write it; empty for what is no status.
    public var name: String {
        switch self {
        case .ok: "OK"
        case .cancelled: "CANCELLED"
        case .unknown: "UNKNOWN"
        case .invalidArgument: "INVALID_ARGUMENT"
        case .deadlineExceeded: "DEADLINE_EXCEEDED"
        case .notFound: "NOT_FOUND"
        case .alreadyExists: "ALREADY_EXISTS"
        case .permissionDenied: "PERMISSION_DENIED"
        case .resourceExhausted: "RESOURCE_EXHAUSTED"
        case .failedPrecondition: "FAILED_PRECONDITION"
        case .aborted: "ABORTED"
        case .outOfRange: "OUT_OF_RANGE"
        case .unimplemented: "UNIMPLEMENTED"
        case .internalError: "INTERNAL"
        case .unavailable: "UNAVAILABLE"
        case .dataLoss: "DATA_LOSS"
        case .unauthenticated: "UNAUTHENTICATED"
        case .missing, .notGRPC: ""
        }
    }

    /// The callee is at fault: OpenTelemetry's rule for SERVER spans, Envoy's for all. A call that ended
    /// without a status is an unknown fault.
    var isServerFault: Bool {
        switch self {
        case .unknown, .deadlineExceeded, .unimplemented, .internalError, .unavailable, .dataLoss, .missing: true
        default: false
        }
    }
}
