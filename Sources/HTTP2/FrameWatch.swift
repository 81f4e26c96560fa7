// SPDX-License-Identifier: Apache-2.0

/// Looks at the header of every frame that comes, before libnghttp2 does, and says when there are too many of a kind.
///
/// libnghttp2 does not tell of frames it ignores, and 1.52 bounds few kinds; the nine bytes of a frame header
/// (RFC 9113 §4.1) are all that is needed for it.
struct FrameWatch: BitwiseCopyable {
    enum Finding: BitwiseCopyable, Equatable {
        case exceeded(HTTP2Limit)
        /// HEADERS for a stream that was passed over, and so is closed for ever (RFC 9113 §5.1.1).
        case backwards
    }

    private let limits: HTTP2Limits
    private let watchesPeerStreams: Bool
    private var resets: TokenBucket
    private var controlFrames: TokenBucket

    /// Bytes to pass over before the next frame header: the preface, then payloads.
    private var skip: Int
    /// One that has not come whole.
    private var header = InlineArray<9, UInt8>(repeating: 0)
    private var headerCount = 0

    private var emptyFrames = 0
    private var continuations = 0
    private var priorityFrames = 0
    private var windowUpdates = 0
    private var lastStream: UInt32 = 0
    /// The ids last passed over; empty when the first is 0.
    private var firstSkipped: UInt32 = 0
    private var lastSkipped: UInt32 = 0
    /// Streams opened, by the peer or by us.
    private(set) var streams = 0
    private var dataSent = 0

    /// - Parameters:
    ///   - prefaceBytes: before the first frame.
    ///   - watchesPeerStreams: the peer opens the streams, and its resets count.
    init(_ limits: HTTP2Limits, prefaceBytes: Int, watchesPeerStreams: Bool) {
        self.limits = limits
        self.watchesPeerStreams = watchesPeerStreams
        resets = TokenBucket(limits.resets)
        controlFrames = TokenBucket(limits.controlFrames)
        skip = prefaceBytes
    }

    /// Passes over received bytes; `nil` while all is in bounds.
    mutating func pass(_ bytes: Span<UInt8>, nowMicroseconds: UInt64) -> Finding? {
        var index = 0
        while index < bytes.count {
            if skip > 0 {
                let step = min(skip, bytes.count - index)
                skip -= step
                index += step
                continue
            }
            if headerCount == 0, bytes.count - index >= 9 {
                let whole = bytes.extracting(index..<index + 9)  // bounded: just compared
                index += 9
                if let finding = judge(whole, nowMicroseconds) { return finding }
                continue
            }
            header[headerCount] = bytes[index]  // bounded: judged and set to 0 when it reaches 9
            headerCount += 1
            index += 1
            guard headerCount == 9 else { continue }
            headerCount = 0
            let whole = header
            if let finding = judge(whole.span, nowMicroseconds) { return finding }
        }
        return nil
    }

    /// We reset a stream because of what the peer did.
    mutating func resetProvoked(nowMicroseconds: UInt64) -> Bool { resets.take(nowMicroseconds: nowMicroseconds) }

    /// A stream ended as it should.
    mutating func streamCompleted() { resets.give() }

    /// We opened a stream.
    mutating func streamOpened() { streams += 1 }

    mutating func dataFrameSent() {
        dataSent += 1
        controlFrames.give()
    }

    // bounded: nine bytes
    private mutating func judge(_ header: Span<UInt8>, _ now: UInt64) -> Finding? {
        let length = Int(header[0]) << 16 | Int(header[1]) << 8 | Int(header[2])
        let flags = header[4]
        skip = length
        switch header[3] {
        case 0x0: return judgeData(length, endsStream: flags & 1 != 0, now)
        case 0x1: return judgeHeaders(streamID(header))
        case 0x2:
            priorityFrames += 1
            return priorityFrames > limits.priorityFrames + 10 * streams ? .exceeded(.priority) : nil
        case 0x3:
            return watchesPeerStreams && !resets.take(nowMicroseconds: now) ? .exceeded(.resets) : nil
        case 0x4:
            if length > 6 * limits.settingsEntries { return .exceeded(.settingsEntries) }
            return flags & 1 != 0 ? nil : judgeControl(now)
        case 0x5: return nil
        case 0x8:
            windowUpdates += 1
            return windowUpdates > limits.windowUpdates + 2 * (streams + 10 * dataSent)
                ? .exceeded(.windowUpdates) : nil
        case 0x9:
            continuations += 1
            return continuations > limits.continuations ? .exceeded(.continuations) : nil
        default: return judgeControl(now)
        }
    }

    // bounded: nine bytes
    private func streamID(_ header: Span<UInt8>) -> UInt32 {
        (UInt32(header[5]) << 24 | UInt32(header[6]) << 16 | UInt32(header[7]) << 8 | UInt32(header[8])) & 0x7fff_ffff
    }

    private mutating func judgeData(_ length: Int, endsStream: Bool, _ now: UInt64) -> Finding? {
        guard length == 0, !endsStream else {
            emptyFrames = 0
            controlFrames.give()
            return nil
        }
        emptyFrames += 1
        return emptyFrames > limits.emptyFrames ? .exceeded(.emptyFrames) : judgeControl(now)
    }

    private mutating func judgeControl(_ now: UInt64) -> Finding? {
        controlFrames.take(nowMicroseconds: now) ? nil : .exceeded(.controlFrames)
    }

    private mutating func judgeHeaders(_ id: UInt32) -> Finding? {
        emptyFrames = 0
        continuations = 0
        guard watchesPeerStreams else { return nil }
        if id > lastStream {
            if id > lastStream + 2 { (firstSkipped, lastSkipped) = (lastStream + 1, id - 1) }
            lastStream = id
            streams += 1
            controlFrames.give()
        } else if firstSkipped > 0, id >= firstSkipped, id <= lastSkipped {
            return .backwards
        }
        return nil
    }
}
