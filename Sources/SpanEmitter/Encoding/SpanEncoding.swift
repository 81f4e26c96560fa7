// SPDX-License-Identifier: Apache-2.0

/// How spans are written on the wire.
public enum SpanEncoding: String, CaseIterable, Sendable {
    case zipkinV1Thrift, zipkinV1JSON, zipkinV2JSON, zipkinV2Proto, otlpProtobuf

    var contentType: String {
        switch self {
        case .zipkinV1Thrift: "application/x-thrift"
        case .zipkinV1JSON, .zipkinV2JSON: "application/json"
        case .zipkinV2Proto, .otlpProtobuf: "application/x-protobuf"
        }
    }
}

/// Which names tags have.
public enum TagProfile: String, CaseIterable, Sendable {
    /// Brave's and Zipkin's names; the default for Zipkin.
    case zipkin
    /// OpenTelemetry's semantic conventions; the default for OTLP.
    case otel
    /// Envoy's names, so that existing dashboards go on working.
    case envoy
}
