// SPDX-License-Identifier: Apache-2.0

/// Reads `health_check` and `outlier_detection`; without the key there is none.
struct HealthReader {
    let mistakes: Mistakes

    func healthCheck(_ parent: MappingReader) -> Configuration.HealthCheck? {
        let reader = parent.mapping("health_check")
        defer { reader.finish() }
        var check = Configuration.HealthCheck()
        check.kind = reader.choice("type", Configuration.HealthCheck.Kind.self) ?? check.kind
        check.path = reader.converted("path", Self.targetExpected, Self.target) ?? check.path
        check.host = reader.converted("host", "a host such as app.example or app.example:8080", Self.host) ?? []
        check.expected = expected(reader) ?? check.expected
        check.intervalMilliseconds = reader.duration("interval", from: 10, default: check.intervalMilliseconds)
        check.timeoutMilliseconds = reader.duration("timeout", from: 10, default: check.timeoutMilliseconds)
        check.unhealthyThreshold = reader.integer("unhealthy_threshold", 1...100, default: check.unhealthyThreshold)
        check.healthyThreshold = reader.integer("healthy_threshold", 1...100, default: check.healthyThreshold)
        if check.kind == .tcp {
            for key in ["path", "host", "expect"] {
                guard let node = reader.value(key) else { continue }
                mistakes.add(node.origin, "'\(key)' is for type http, expected none with type tcp")
            }
        }
        return parent.value("health_check") == nil ? nil : check
    }

    func outlierDetection(_ parent: MappingReader) -> Configuration.OutlierDetection? {
        let reader = parent.mapping("outlier_detection")
        defer { reader.finish() }
        var rule = Configuration.OutlierDetection()
        rule.consecutiveServerErrors = reader.integer(
            "consecutive_5xx", 0...10_000, default: rule.consecutiveServerErrors)
        rule.consecutiveConnectFailures = reader.integer(
            "consecutive_connect_failures", 0...10_000, default: rule.consecutiveConnectFailures)
        rule.intervalMilliseconds = reader.duration("interval", from: 10, default: rule.intervalMilliseconds)
        rule.baseEjectionMilliseconds = reader.duration(
            "base_ejection", from: 10, default: rule.baseEjectionMilliseconds)
        rule.maximumEjectionPercent = reader.integer(
            "max_ejection_percent", 0...100, default: rule.maximumEjectionPercent)
        return parent.value("outlier_detection") == nil ? nil : rule
    }

    private static let statusExpected = "a status such as 204 or a range such as 200-299"

    private func expected(_ reader: MappingReader) -> [ClosedRange<UInt16>]? {
        guard let node = reader.value("expect") else { return nil }
        let items = reader.list("expect")
        if items.isEmpty, case .sequence = node.content {
            mistakes.add(node.origin, "'expect' is empty, expected \(Self.statusExpected)")
        }
        return items.compactMap { item in
            guard let (text, origin) = reader.text(item, "expect", Self.statusExpected) else { return nil }
            if let range = Self.statuses(text) { return range }
            mistakes.add(origin, "'\(text)' is no status, expected \(Self.statusExpected)")
            return nil
        }
    }

    private static func statuses(_ text: String) -> ClosedRange<UInt16>? {
        let bounds = text.split(separator: "-", omittingEmptySubsequences: false).map { part in
            part.utf8.count == 3 ? UInt16(part).flatMap { (200...599).contains($0) ? $0 : nil } : nil
        }
        guard let first = bounds.first ?? nil, let last = bounds.last ?? nil, bounds.count <= 2, first <= last else {
            return nil
        }
        return first...last
    }

    private static let targetExpected = "a path such as /healthz or /healthz?full=1, without spaces and '#'"

    /// A path, with or without a query.
    private static func target(_ text: String) -> [UInt8]? {
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard let path = parts.first.flatMap({ PathText.bytes(String($0)) }) else { return nil }
        guard parts.count == 2 else { return path }
        // A query may hold what a path may, and more question marks.
        let query = "/" + parts[1].replacing("?", with: "/")
        return PathText.bytes(query) == nil ? nil : Array(text.utf8)
    }

    private static func host(_ text: String) -> [UInt8]? {
        AddressNotation.isAuthority(text) ? Array(text.utf8) : nil
    }
}
