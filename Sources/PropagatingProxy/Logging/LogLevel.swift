// SPDX-License-Identifier: Apache-2.0

/// How much an operator wants to know; each level includes those before it.
public enum LogLevel: String, CaseIterable, Sendable, Comparable {
    /// Something the operator must mend.
    case error
    /// Something failed, and the proxy goes on.
    case warn
    /// Start, stop, and changes of state.
    case info
    case debug

    private var rank: Int {
        switch self {
        case .error: 0
        case .warn: 1
        case .info: 2
        case .debug: 3
        }
    }

    public static func < (a: Self, b: Self) -> Bool { a.rank < b.rank }
}

/// How a line looks.
public enum LogFormat: String, CaseIterable, Sendable {
    /// `2026-11-21T10:00:00.000Z INFO  message key=value`
    case text
    /// One JSON object a line.
    case json
}

/// Keys and values in the order given. Integers and booleans are written bare in JSON, all else as text.
public typealias LogFields = KeyValuePairs<String, any CustomStringConvertible>
