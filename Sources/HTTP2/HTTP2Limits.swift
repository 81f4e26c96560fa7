// SPDX-License-Identifier: Apache-2.0

/// How much one peer of one connection may ask for.
public struct HTTP2Limits: BitwiseCopyable, Sendable {
    /// How often something may happen: so many times at once, and so many times a second afterwards.
    public struct Rate: BitwiseCopyable, Sendable {
        public var burst: Int
        public var perSecond: Int

        public init(burst: Int, perSecond: Int) {
            self.burst = burst
            self.perSecond = perSecond
        }
    }

    /// Streams the peer may have open; announced. More are refused.
    public var concurrentStreams = 100
    /// Streams this side opens at most, even if the peer allows more.
    public var openStreams = 1000
    /// Fields of one head or trailer section; each piece of a split Cookie counts, the pseudo-fields do not.
    public var fieldCount = 100
    /// Bytes of one head: name, value and 32 for each field (RFC 9113 §6.5.2); at most 65,536. Announced.
    public var fieldBytes = 65_536
    /// Body bytes the peer may send on a stream beyond those that were used.
    public var streamWindow = 65_535
    /// Body bytes the peer may send on all streams beyond those that were received.
    public var connectionWindow = 1 << 20
    /// CONTINUATION frames of one head.
    public var continuations = 8
    /// DATA frames in a row that carry nothing and end nothing.
    public var emptyFrames = 10
    /// Streams the peer resets, and streams it makes us reset. A stream that ended well gives one back.
    public var resets = Rate(burst: 100, perSecond: 10)
    /// PING, SETTINGS, GOAWAY, unknown and empty frames. A head, and a DATA frame either way, gives one back:
    /// peers that measure the bandwidth send a PING for each burst of data.
    public var controlFrames = Rate(burst: 100, perSecond: 10)
    /// PRIORITY frames, and 10 more for each stream.
    public var priorityFrames = 100
    /// WINDOW_UPDATE frames, and 2 more for each stream and 20 for each DATA frame sent.
    public var windowUpdates = 5
    /// Entries of one SETTINGS frame.
    public var settingsEntries = 32
    /// Acknowledgements that the peer has asked for and not read.
    public var unreadAcknowledgements = 1000
    /// Above so many of them nothing more should be read.
    public var unreadAcknowledgementsMark = 64
    /// Sweeps without a byte sent after which a stream with bytes to send is reset.
    public var stalledSweeps = 3

    public init() {}
}

/// What ``HTTP2Limits`` bounds, by the label of its counter.
public enum HTTP2Limit: Int, BitwiseCopyable, CaseIterable, Sendable {
    case resets
    case controlFrames
    case emptyFrames
    case priority
    case windowUpdates
    case settingsEntries
    case continuations
    case headerList
    case concurrentStreams
    case unreadAcknowledgements
    case stalledStreams
    case memory

    public var label: StaticString {
        switch self {
        case .resets: "resets"
        case .controlFrames: "control_frames"
        case .emptyFrames: "empty_frames"
        case .priority: "priority"
        case .windowUpdates: "window_updates"
        case .settingsEntries: "settings_entries"
        case .continuations: "continuations"
        case .headerList: "header_list"
        case .concurrentStreams: "concurrent_streams"
        case .unreadAcknowledgements: "unread_acks"
        case .stalledStreams: "stalled_streams"
        case .memory: "memory"
        }
    }
}
