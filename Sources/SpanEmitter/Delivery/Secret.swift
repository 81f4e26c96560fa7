// SPDX-License-Identifier: Apache-2.0

/// A text that never appears in a log or a dump: a token, or the path of a collector.
public struct Secret: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The text itself, for the wire only.
    public let exposed: String

    public init(_ text: String) { exposed = text }

    public var isEmpty: Bool { exposed.isEmpty }
    public var description: String { "***" }
    public var debugDescription: String { "***" }
    public var customMirror: Mirror { Mirror(self, children: [], displayStyle: .struct) }
}
