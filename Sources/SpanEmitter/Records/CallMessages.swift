// SPDX-License-Identifier: Apache-2.0

/// The messages of a gRPC call, by direction.
public struct CallMessages: BitwiseCopyable, Sendable {
    public var request = Figures()
    public var response = Figures()

    public init() {}

    /// How many whole messages, and when the first and the last of them were whole.
    public struct Figures: BitwiseCopyable, Sendable {
        public var count: UInt32 = 0
        /// Microseconds after the SERVER span's start, at most 71 minutes; means nothing without a message.
        public var firstMicroseconds: UInt32 = 0
        /// Microseconds after the SERVER span's start; means nothing without a message.
        public var lastMicroseconds: UInt64 = 0

        public init() {}
    }
}
