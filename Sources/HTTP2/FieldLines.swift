// SPDX-License-Identifier: Apache-2.0
import CNghttp2
import Glibc
import HTTP1

/// The fields of a head or trailer section that is sent, as libnghttp2 wants them: pointers into the text.
///
/// A session has one and uses it for every head. libnghttp2 copies what it is given and lower-cases the names.
@safe
struct FieldLines: ~Copyable {
    /// More fields than heads have: ``HTTP1/FieldTable`` bounds them at 100, and the proxy adds a few.
    static let capacity = 256

    let fields: UnsafeMutablePointer<nghttp2_nv>
    /// Fields without a value, by ``FieldKind``: their names are in lower case, and stay where they are. Those without a
    /// name are not taken as they are.
    private let knownNames = unsafe Self.knownNames
    private(set) var count = 0
    /// The names of fields that differ in every request are in the peer's table, or on their way to it.
    private var hasTaughtNames = false

    init() { unsafe fields = .allocate(capacity: Self.capacity) }

    deinit { unsafe fields.deallocate() }

    nonisolated(unsafe) private static let knownNames: UnsafeMutablePointer<nghttp2_nv> = {
        let names = UnsafeMutablePointer<nghttp2_nv>.allocate(capacity: 256)
        for raw in UInt8.min...(.max) {
            let kind = FieldKind(rawValue: raw) ?? .other
            let flags = NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue
            let further = kind.isNeverTheSame ? NGHTTP2_NV_FLAG_NO_INDEX.rawValue : 0
            let isTaken = kind != .host && (!kind.isHopByHop || kind == .expect)
            unsafe (names + Int(raw)).initialize(
                to: nghttp2_nv(
                    name: UnsafeMutablePointer(mutating: kind.name.utf8Start), value: nil,
                    namelen: isTaken ? kind.name.utf8CodeUnitCount : 0, valuelen: 0, flags: UInt8(flags | further)))
        }
        return unsafe names
    }()

    /// Where the head ends that begins the bytes, behind its empty line; `nil` if it does not.
    static func headEnd(of bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        guard let start = bytes.baseAddress else { return nil }
        var position = 0
        while let length = unsafe find(0x0d, start + position, bytes.count - position - 3) {
            position += length
            let next = unsafe UnsafeRawPointer(start + position).loadUnaligned(as: UInt32.self)
            if UInt32(littleEndian: next) == 0x0a0d_0a0d { return position + 4 }
            position += 2
        }
        return nil
    }

    /// Takes a head whose lines are known; see ``readRequest(_:)``.
    mutating func takeRequest(_ head: UnsafeBufferPointer<UInt8>, _ lines: borrowing SentLines) -> Bool {
        guard let start = head.baseAddress, let lineEnd = unsafe addRequestLine(start, head.count), lineEnd > 0
        else { return false }
        defer { hasTaughtNames = true }
        return unsafe take(lines, start, head.count, keepsHost: true)
    }

    /// Takes a head whose lines are known; see ``readResponse(_:)``.
    mutating func takeResponse(_ head: UnsafeBufferPointer<UInt8>, _ lines: borrowing SentLines) -> Bool {
        count = 0
        guard let start = head.baseAddress, head.count > 12 else { return false }
        unsafe append(":status", start + 9, 3)
        return unsafe take(lines, start, head.count, keepsHost: false)
    }

    // bounded: each value is compared with the size, the count of lines with the capacity
    private mutating func take(
        _ lines: borrowing SentLines, _ start: UnsafePointer<UInt8>, _ size: Int, keepsHost: Bool
    ) -> Bool {
        // In HPACK's table they would take the place of fields that come again.
        let flags = UInt8(NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue)
        let everyFlag = hasTaughtNames ? .max : flags
        guard lines.count <= Self.capacity - count else { return false }
        let names = unsafe knownNames
        // Kept here meanwhile: what is stored through it might be the count, for all the compiler knows.
        var next = unsafe fields + count
        let all = unsafe lines.all
        for index in 0..<lines.count {
            let line = unsafe all[index]
            let (value, valueCount) = (Int(line.valueStart), Int(line.valueCount))
            guard value + valueCount <= size else { return false }
            let name = unsafe names + Int(line.kind.rawValue)  // bounded: one of each kind
            if unsafe name.pointee.namelen > 0 {
                unsafe next.initialize(to: name.pointee)
                unsafe next.pointee.value = UnsafeMutablePointer(mutating: start + value)
                unsafe next.pointee.valuelen = valueCount
                unsafe next.pointee.flags &= everyFlag
                unsafe next += 1
            } else {
                unsafe count = next - fields
                guard unsafe takeOther(line, start, keepsHost: keepsHost) else { return false }
                unsafe next = fields + count
            }
        }
        unsafe count = next - fields
        return true
    }

    // bounded: the value by the caller, the name by where the value begins
    private mutating func takeOther(
        _ line: SentLines.Line, _ start: UnsafePointer<UInt8>, keepsHost: Bool
    ) -> Bool {
        let (name, nameCount) = (Int(line.nameStart), Int(line.nameCount))
        let (value, valueCount) = unsafe (start + Int(line.valueStart), Int(line.valueCount))
        switch line.kind {
        case .other:
            guard nameCount > 0, name + nameCount < Int(line.valueStart) else { return false }
            unsafe append(start + name, nameCount, value, valueCount)
        case .host: if keepsHost { unsafe addAuthority(value, valueCount) }
        case .te:
            if unsafe contains("trailers", value, valueCount) { unsafe append("te", pointer("trailers"), 8) }
        default: break  // of one connection
        }
        return true
    }

    private mutating func addRequestLine(_ start: UnsafePointer<UInt8>, _ size: Int) -> Int? {
        count = 0
        guard let lineEnd = unsafe find(0x0d, start, size),
            let methodEnd = unsafe find(0x20, start, lineEnd),
            let pathEnd = unsafe find(0x20, start + methodEnd + 1, lineEnd - methodEnd - 1)
        else { return nil }
        unsafe append(":method", start, methodEnd)
        unsafe append(":scheme", pointer("http"), 4)
        unsafe append(":path", start + methodEnd + 1, pathEnd)
        return lineEnd
    }

    /// Reads `METHOD SP path SP HTTP/1.1` and the lines behind it; `false` if that is not what it is.
    mutating func readRequest(_ head: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let start = head.baseAddress, let lineEnd = unsafe addRequestLine(start, head.count) else { return false }
        defer { hasTaughtNames = true }
        return unsafe readLines(start + lineEnd + 2, head.count - lineEnd - 2, keepsHost: true)
    }

    /// Reads `HTTP/1.1 SP status` and the lines behind it; `false` if that is not what it is.
    mutating func readResponse(_ head: UnsafeBufferPointer<UInt8>) -> Bool {
        count = 0
        guard let start = head.baseAddress, head.count > 12,
            let lineEnd = unsafe find(0x0d, start, head.count), lineEnd >= 12
        else { return false }
        unsafe append(":status", start + 9, 3)
        return unsafe readLines(start + lineEnd + 2, head.count - lineEnd - 2, keepsHost: false)
    }

    /// Reads field lines without an empty line behind them.
    mutating func readTrailers(_ lines: UnsafeBufferPointer<UInt8>) -> Bool {
        count = 0
        guard let start = lines.baseAddress else { return true }
        return unsafe readLines(start, lines.count, keepsHost: false)
    }

    // bounded: the position stays below the size, find() answers below the count it was given
    /// - Parameter keepsHost: it becomes `:authority`; otherwise it is left out.
    private mutating func readLines(_ start: UnsafePointer<UInt8>, _ size: Int, keepsHost: Bool) -> Bool {
        var position = 0
        while position < size, unsafe start[position] != 0x0d {
            let line = unsafe start + position
            guard let length = unsafe find(0x0d, line, size - position), let colon = unsafe find(0x3a, line, length)
            else { return false }
            position += length + 2
            // HTTP/2 has no place for blanks around a value (RFC 9113 §8.2.1).
            var (value, end) = (colon + 1, length)
            while value < end, unsafe isBlank(line[value]) { value += 1 }
            while end > value, unsafe isBlank(line[end - 1]) { end -= 1 }
            guard unsafe addLine(line, colon, line + value, end - value, keepsHost: keepsHost) else { return false }
        }
        return true
    }

    private mutating func addLine(
        _ name: UnsafePointer<UInt8>, _ nameCount: Int, _ value: UnsafePointer<UInt8>, _ valueCount: Int,
        keepsHost: Bool
    ) -> Bool {
        guard count < Self.capacity, nameCount > 0 else { return false }
        switch unsafe ConnectionField(name, nameCount) {
        case nil:
            // In HPACK's table they would take the place of fields that come again.
            let passes = unsafe hasTaughtNames && isNeverTheSame(name, nameCount)
            unsafe append(
                name, nameCount, value, valueCount, flags: passes ? UInt8(NGHTTP2_NV_FLAG_NO_INDEX.rawValue) : 0)
        case .host: if keepsHost { unsafe addAuthority(value, valueCount) }
        // The one transfer coding HTTP/2 knows is the wish for trailers (RFC 9113 §8.2.2).
        case .te:
            if unsafe contains("trailers", value, valueCount) { unsafe append(name, nameCount, pointer("trailers"), 8) }
        case .dropped: break
        }
        return true
    }

    // bounded: places between 3 and the count
    /// Pseudo-fields stand before the others (RFC 9113 §8.3): the field that is in its place moves to the end.
    private mutating func addAuthority(_ value: UnsafePointer<UInt8>, _ valueCount: Int) {
        unsafe append(":authority", value, valueCount)
        guard count > 4 else { return }
        let authority = unsafe fields[count - 1]
        var place = count - 1
        while place > 3 {
            unsafe fields[place] = fields[place - 1]
            place -= 1
        }
        unsafe fields[3] = authority
    }

    /// A name of ours need not be copied: it is in lower case and stays where it is.
    private mutating func append(
        _ name: StaticString, _ value: UnsafePointer<UInt8>, _ valueCount: Int, flags: UInt8 = 0
    ) {
        unsafe append(
            name.utf8Start, name.utf8CodeUnitCount, value, valueCount,
            flags: flags | UInt8(NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue))
    }

    // bounded: compared with the capacity
    private mutating func append(
        _ name: UnsafePointer<UInt8>, _ nameCount: Int, _ value: UnsafePointer<UInt8>, _ valueCount: Int,
        flags: UInt8 = 0
    ) {
        guard count < Self.capacity else { return }
        unsafe fields[count] = nghttp2_nv(
            name: UnsafeMutablePointer(mutating: name), value: UnsafeMutablePointer(mutating: value),
            namelen: nameCount, valuelen: valueCount, flags: flags)
        count += 1
    }
}

/// Fields that speak of an HTTP/1.1 connection and have no place in HTTP/2 (RFC 9113 §8.2.2).
private enum ConnectionField {
    case host
    case te
    case dropped

    init?(_ name: UnsafePointer<UInt8>, _ count: Int) {
        switch count {
        case 2 where unsafe isWord(name, "te"): self = .te
        case 4 where unsafe isWord(name, "host"): self = .host
        case 7 where unsafe isWord(name, "upgrade"): self = .dropped
        case 10 where unsafe isWord(name, "connection") || isWord(name, "keep-alive"): self = .dropped
        case 14 where unsafe isWord(name, "http2-settings"): self = .dropped
        case 16 where unsafe isWord(name, "proxy-connection"): self = .dropped
        case 17 where unsafe isWord(name, "transfer-encoding"): self = .dropped
        default: return nil
        }
    }
}

// bounded: no name is empty
/// The context of a trace and the id of a request, in any case.
private func isNeverTheSame(_ name: UnsafePointer<UInt8>, _ count: Int) -> Bool {
    // Most other fields differ in the first byte or in the length.
    switch unsafe (count, name[0] | 0x20) {
    case (2, 0x62): unsafe isWord(name, "b3")
    case (10, 0x74): unsafe isWord(name, "tracestate")
    case (11, 0x74): unsafe isWord(name, "traceparent")
    case (11, 0x78): unsafe isWord(name, "x-b3-spanid")
    case (12, 0x78): unsafe isWord(name, "x-b3-traceid") || isWord(name, "x-request-id")
    case (17, 0x78): unsafe isWord(name, "x-b3-parentspanid")
    default: false
    }
}

// bounded: by the length of both
/// Whether the name is the lower-case word, in any case; they are equally long.
private func isWord(_ name: UnsafePointer<UInt8>, _ word: StaticString) -> Bool {
    for index in 0..<word.utf8CodeUnitCount {
        let byte = unsafe name[index]
        let folded = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
        guard unsafe folded == word.utf8Start[index] else { return false }
    }
    return true
}

private func pointer(_ text: StaticString) -> UnsafePointer<UInt8> { unsafe text.utf8Start }

/// How far it is to the byte; `nil` if it does not come.
private func find(_ byte: CInt, _ start: UnsafePointer<UInt8>, _ count: Int) -> Int? {
    guard count > 0, let found = unsafe memchr(start, byte, count) else { return nil }
    return unsafe UnsafeRawPointer(found) - UnsafeRawPointer(start)
}

// bounded: between 0 and the count
/// Whether a list of words has this lower-case one, without parameters.
private func contains(_ word: StaticString, _ start: UnsafePointer<UInt8>, _ count: Int) -> Bool {
    var first = 0
    while first < count {
        var end = first
        while end < count, unsafe start[end] != 0x2c { end += 1 }
        var (from, to) = (first, end)
        while from < to, unsafe isBlank(start[from]) { from += 1 }
        while to > from, unsafe isBlank(start[to - 1]) { to -= 1 }
        if to - from == word.utf8CodeUnitCount, unsafe isWord(start + from, word) { return true }
        first = end + 1
    }
    return false
}

private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
