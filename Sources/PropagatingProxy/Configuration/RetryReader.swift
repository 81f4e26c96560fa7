// SPDX-License-Identifier: Apache-2.0

/// Reads a route's `retry`.
struct RetryReader {
    let mistakes: Mistakes

    private static let words = ["connect_failure", "reset", "gateway_error", "5xx", "retriable_status"]

    func read(_ parent: MappingReader) -> RetryPolicy? {
        guard parent.value("retry") != nil else { return nil }
        let reader = parent.mapping("retry")
        defer { reader.finish() }
        var policy = RetryPolicy()
        let words = conditions(reader)
        let statuses = statuses(reader, isAsked: words.contains("retriable_status"))
        for status in statuses { policy.statuses.insert(status) }
        if words.contains("gateway_error") { for status: UInt16 in 502...504 { policy.statuses.insert(status) } }
        if words.contains("5xx") { for status: UInt16 in 500...599 { policy.statuses.insert(status) } }
        // What would become a 502, 503 or 504 of ours counts as one.
        let ours = words.contains("gateway_error") || words.contains("5xx")
        policy.onConnectFailure = ours || words.contains("connect_failure")
        policy.onReset = ours || words.contains("reset")
        policy.attempts = UInt8(clamping: reader.integer("attempts", 0...RetryPolicy.attemptLimit, default: 1))
        policy.repeatsNonIdempotent = reader.flag("non_idempotent", default: false)
        policy.perTryMilliseconds = reader.optionalDuration("per_try_timeout")
        policy.backOff = backOff(reader.mapping("back_off"))
        return policy
    }

    private func conditions(_ reader: MappingReader) -> [String] {
        let expected = "one of \(Self.words.joined(separator: ", "))"
        guard reader.value("on") != nil else {
            reader.missing("on", "a list of \(expected)")
            return []
        }
        return reader.list("on").compactMap { item in
            guard let (text, origin) = reader.text(item, "on", expected) else { return nil }
            if Self.words.contains(text) { return text }
            let guess = Suggestion.text(for: text, among: Self.words)
            mistakes.add(origin, "'\(text)' is no reason to try again\(guess), expected \(expected)")
            return nil
        }
    }

    private func statuses(_ reader: MappingReader, isAsked: Bool) -> [UInt16] {
        let expected = "a status from 400 to 599"
        let found: [UInt16] = reader.list("statuses").compactMap { item in
            guard let (text, origin) = reader.text(item, "statuses", expected) else { return nil }
            if let status = UInt16(text), (400...599).contains(status) { return status }
            mistakes.add(origin, "'\(text)' is no status to try again after, expected \(expected)")
            return nil
        }
        if isAsked, reader.value("statuses") == nil { reader.missing("statuses", "a list for 'retriable_status'") }
        if !isAsked, let node = reader.value("statuses") {
            mistakes.add(node.origin, "'statuses' without 'retriable_status' in 'on', expected both")
        }
        return found
    }

    private func backOff(_ reader: MappingReader) -> BackOff {
        defer { reader.finish() }
        var backOff = BackOff()
        backOff.baseMilliseconds = reader.duration("base", default: backOff.baseMilliseconds)
        backOff.maximumMilliseconds = reader.duration(
            "max", default: max(backOff.maximumMilliseconds, backOff.baseMilliseconds))
        if backOff.maximumMilliseconds < backOff.baseMilliseconds {
            mistakes.add(reader.origin, "'back_off' has a 'max' below its 'base', expected at least as much")
        }
        return backOff
    }
}
