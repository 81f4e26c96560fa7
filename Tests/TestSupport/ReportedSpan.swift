// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What a collector needs of a span to draw the tree, read out of any of our encodings. Ids are lower-case hex.
public struct ReportedSpan: Sendable, CustomStringConvertible {
    public enum Kind: String, Sendable { case server, client }

    public var traceID = ""
    public var id = ""
    public var parentID: String?
    public var kind: Kind?
    public var name = ""
    public var durationMicroseconds = 0
    public var isShared = false
    public var isDebug = false
    public var service = ""
    public var remoteService: String?
    public var tags: [String: String] = [:]

    public var description: String {
        "\(kind?.rawValue ?? "?") \(service) \(name) \(traceID)/\(id) parent \(parentID ?? "none") \(tags)"
    }

    /// Which encoding it is, the post's path and type tell.
    static func decode(_ body: [UInt8], path: String, type: String) throws -> [ReportedSpan] {
        if type.contains("thrift") { return try decodeThrift(body) }
        if type.contains("protobuf") {
            return path.contains("/v2/") ? try decodeZipkinProto(body) : try decodeOTLP(body)
        }
        guard let spans = try JSONSerialization.jsonObject(with: Data(body)) as? [[String: Any]] else {
            throw SocketError.malformed("not a JSON list of objects")
        }
        return try spans.map { try $0["binaryAnnotations"] == nil && $0["annotations"] == nil ? v2($0) : v1($0) }
    }

    // MARK: JSON

    private static func v2(_ json: [String: Any]) throws -> ReportedSpan {
        func endpointName(_ key: String) -> String? { (json[key] as? [String: Any])?["serviceName"] as? String }
        var span = try identified(json)
        span.kind = (json["kind"] as? String).flatMap { Kind(rawValue: $0.lowercased()) }
        span.isShared = json["shared"] as? Bool ?? false
        span.service = endpointName("localEndpoint") ?? ""
        span.remoteService = endpointName("remoteEndpoint")
        span.tags = json["tags"] as? [String: String] ?? [:]
        return span
    }

    private static func v1(_ json: [String: Any]) throws -> ReportedSpan {
        var span = try identified(json)
        for annotation in json["annotations"] as? [[String: Any]] ?? [] {
            span.annotated(
                annotation["value"] as? String ?? "",
                (annotation["endpoint"] as? [String: Any])?["serviceName"] as? String)
        }
        for annotation in json["binaryAnnotations"] as? [[String: Any]] ?? [] {
            let key = annotation["key"] as? String ?? ""
            let service = (annotation["endpoint"] as? [String: Any])?["serviceName"] as? String
            if key == "sa" || key == "ca" {
                span.remoteService = service
            } else {
                span.tags[key] = annotation["value"] as? String
            }
        }
        return span
    }

    private static func identified(_ json: [String: Any]) throws -> ReportedSpan {
        guard let traceID = json["traceId"] as? String, let id = json["id"] as? String else {
            throw SocketError.malformed("a span without ids: \(json)")
        }
        var span = ReportedSpan()
        span.traceID = traceID
        span.id = id
        span.parentID = json["parentId"] as? String
        span.name = json["name"] as? String ?? ""
        span.durationMicroseconds = json["duration"] as? Int ?? 0
        span.isDebug = json["debug"] as? Bool ?? false
        return span
    }

    /// v1 knows the kind by its annotations: `sr`, `ss` server, `cs`, `cr` client.
    private mutating func annotated(_ value: String, _ service: String?) {
        guard ["sr", "ss", "cs", "cr"].contains(value) else { return }
        kind = value.hasPrefix("s") ? .server : .client
        if let service { self.service = service }
    }

    // MARK: Thrift

    private static func decodeThrift(_ body: [UInt8]) throws -> [ReportedSpan] {
        try ThriftValue.list(of: body).map { value in
            func hex(_ field: Int16) -> String? {
                value[field]?.integer.map { UInt64(bitPattern: $0) }.map { hexText($0) }
            }
            var span = ReportedSpan()
            span.traceID = (hex(12) ?? "") + (hex(1) ?? "")
            span.id = hex(4) ?? ""
            span.parentID = hex(5)
            span.name = value[3]?.text ?? ""
            span.durationMicroseconds = value[11]?.integer.map(Int.init) ?? 0
            span.isDebug = value[9]?.integer == 1
            for annotation in value[6]?.list ?? [] {
                span.annotated(annotation[2]?.text ?? "", annotation[3]?[3]?.text)
            }
            for annotation in value[8]?.list ?? [] {
                let key = annotation[1]?.text ?? ""
                if key == "sa" || key == "ca" {
                    span.remoteService = annotation[4]?[3]?.text
                } else {
                    span.tags[key] = annotation[2]?.text
                }
            }
            return span
        }
    }

    // MARK: Protocol buffers

    private static func decodeZipkinProto(_ body: [UInt8]) throws -> [ReportedSpan] {
        try ProtoMessage(body).messages(1).map { message in
            var span = ReportedSpan()
            span.traceID = hexText(message.bytes(1))
            span.parentID = message.has(2) ? hexText(message.bytes(2)) : nil
            span.id = hexText(message.bytes(3))
            span.kind = [1: .client, 2: .server][message.number(4)]
            span.name = message.text(5)
            span.durationMicroseconds = Int(message.number(7))
            span.service = try message.messages(8).first?.text(1) ?? ""
            span.remoteService = try message.messages(9).first?.text(1)
            for tag in try message.messages(11) { span.tags[tag.text(1)] = tag.text(2) }
            span.isDebug = message.number(12) == 1
            span.isShared = message.number(13) == 1
            return span
        }
    }

    private static func decodeOTLP(_ body: [UInt8]) throws -> [ReportedSpan] {
        try ProtoMessage(body).messages(1).flatMap { resourceSpans in
            let resource = try attributes(resourceSpans.messages(1).flatMap { try $0.messages(1) })
            return try resourceSpans.messages(2).flatMap { try $0.messages(2) }.map { message in
                var span = ReportedSpan()
                span.traceID = hexText(message.bytes(1))
                span.id = hexText(message.bytes(2))
                span.parentID = message.bytes(4).isEmpty ? nil : hexText(message.bytes(4))
                span.name = message.text(5)
                span.kind = [2: .server, 3: .client][message.number(6)]
                span.durationMicroseconds = Int((message.number(8) - message.number(7)) / 1000)
                span.tags = try attributes(message.messages(9))
                span.service = resource["service.name"] ?? ""
                return span
            }
        }
    }

    private static func attributes(_ pairs: [ProtoMessage]) throws -> [String: String] {
        var found: [String: String] = [:]
        for pair in pairs {
            guard let value = try pair.messages(2).first else { continue }
            found[pair.text(1)] =
                value.has(1) ? value.text(1) : value.has(2) ? "\(value.number(2) != 0)" : "\(value.number(3))"
        }
        return found
    }
}

private func hexText(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

private func hexText(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}
