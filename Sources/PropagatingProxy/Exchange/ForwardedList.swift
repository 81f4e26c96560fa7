// SPDX-License-Identifier: Apache-2.0

/// The list in X-Forwarded-For: who asked, the oldest first, with commas between.
enum ForwardedList {
    /// What is sent holds so many entries at most, this proxy's own among them; the oldest are cut,
    /// because whoever is nearest to us said the rightmost.
    static let limit = 20
    /// A list that fits in so many bytes has fewer than ``limit`` entries that say something.
    static let harmlessByteCount = 2 * (limit - 1)

    static func entryCount(_ list: Span<UInt8>) -> Int {
        var count = 1
        for index in list.indices where list[index] == comma { count += 1 }
        return count
    }

    /// How many entries are such; each is shown without the blanks around it.
    static func count(in list: Span<UInt8>, where isSuch: (Span<UInt8>) -> Bool) -> Int {
        var count = 0
        var start = 0
        while start <= list.count {
            let end = self.end(of: start, in: list)
            if isSuch(trimmed(list.extracting(start..<end))) { count += 1 }  // bounded: end(of:) goes up to the count
            start = end + 1
        }
        return count
    }

    /// The list without its first `dropped` entries, which it has.
    @_lifetime(copy list)
    static func dropping(_ dropped: Int, from list: Span<UInt8>) -> Span<UInt8> {
        var start = 0
        for _ in 0..<dropped { start = min(end(of: start, in: list) + 1, list.count) }
        return trimmed(list.extracting(start..<list.count))  // bounded: the minimum above
    }

    private static let comma = UInt8(ascii: ",")

    private static func end(of start: Int, in list: Span<UInt8>) -> Int {
        var end = start
        while end < list.count, list[end] != comma { end += 1 }
        return end
    }

    // bounded: start and end move towards each other, from 0 and the count
    @_lifetime(copy text)
    private static func trimmed(_ text: Span<UInt8>) -> Span<UInt8> {
        var (start, end) = (0, text.count)
        while start < end, isBlank(text[start]) { start += 1 }
        while start < end, isBlank(text[end - 1]) { end -= 1 }
        return text.extracting(start..<end)
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
}
