// SPDX-License-Identifier: Apache-2.0

/// Something hostile bytes go into, and what has to hold whatever they are.
public protocol FuzzTarget: AnyObject {
    init() throws
    /// Must neither trap nor throw.
    func check(_ input: [UInt8]) throws(BrokenLaw)
}

/// An input for which a law does not hold.
public struct BrokenLaw: Error {
    public let law: String
}

/// Throws unless the law holds.
func hold(_ condition: Bool, _ law: @autoclosure () -> String) throws(BrokenLaw) {
    guard condition else { throw BrokenLaw(law: law()) }
}

/// All targets, by the name of their folders.
public enum FuzzTargets {
    private static var types: [(String, any FuzzTarget.Type)] {
        [
            ("h1-request", RequestTarget.self), ("h1-response", ResponseTarget.self), ("chunked", ChunkedTarget.self),
            ("authority", AuthorityTarget.self), ("trace", TraceTarget.self), ("config", ConfigurationTarget.self),
            ("span-json", SpanTarget.self), ("collector", CollectorTarget.self),
            ("h2-session", SessionTarget.self), ("h2-to-h1", TranslationTarget.self),
            ("tls", TLSTarget.self),
        ]
    }

    public static var names: [String] { types.map(\.0) }

    public static func make(_ name: String) throws -> (any FuzzTarget)? {
        try types.first { $0.0 == name }?.1.init()
    }
}

/// Ways to cut an input.
enum Pieces {
    private static let sizes = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 64, 100, 1000, Int.max]

    /// Bytes of a piece. Long inputs come in at most 512, to be done in time.
    static func size(_ choice: UInt8, of count: Int) -> Int { max(sizes[Int(choice & 15)], count / 512) }

    /// Without what comes after the last line feed.
    static func wholeLines(_ bytes: [UInt8]) -> [UInt8] {
        bytes.lastIndex(of: 10).map { Array(bytes[...$0]) } ?? []
    }
}
