// SPDX-License-Identifier: Apache-2.0
import CNghttp2
import EventLoop
import Glibc
import HTTP1

/// The head or trailer section that is being received, field by field, as HTTP/1.1 text.
///
/// A session has one: header blocks of different streams never mix (RFC 9113 §4.3).
@safe
struct HeadText: ~Copyable {
    enum Kind: BitwiseCopyable {
        case request
        case response
        case trailers
    }

    /// What is wrong with the whole, if anything.
    enum Flaw: BitwiseCopyable {
        /// More than the limits: nothing of it is kept.
        case tooLarge
        case malformed
        case noMemory
    }

    /// A head of up to so many times the limit is read, and answered 431.
    private static let patience = 4

    private(set) var kind = Kind.trailers
    private(set) var flaw: Flaw?
    /// The text so far; whoever takes a complete head swaps it away.
    var text: Buffer
    /// Where its lines are; goes with it.
    var lines = HeadLines()
    /// Pieces of Cookie, joined (RFC 9113 §8.2.3).
    private var cookies: Buffer
    private let limits: HTTP2Limits
    private var fieldCount = 0
    private var fieldBytes = 0
    private var hasFirstLine = false
    /// Of a response: no final one.
    private(set) var isInterim = false
    /// Where the authority stands in the text; empty without `:authority`.
    private var authority = 0..<0

    // Pseudo-fields come in any order: libnghttp2's own counted strings are held until the first line is written.
    private var method: OpaquePointer?
    private var path: OpaquePointer?
    private var authorityValue: OpaquePointer?

    init(limits: HTTP2Limits, pool: BufferPool) {
        self.limits = limits
        text = Buffer(pool: pool)
        cookies = Buffer(pool: pool)
    }

    deinit { unsafe drop(method, path, authorityValue) }

    /// Forgets what there was.
    mutating func begin(_ kind: Kind) {
        self.kind = kind
        flaw = nil
        text.release()
        lines.removeAll()
        cookies.release()
        (fieldCount, fieldBytes, hasFirstLine, isInterim, authority) = (0, 0, false, false, 0..<0)
        forgetPseudoFields()
    }

    /// Takes one field; after a flaw it only counts.
    ///
    /// - Returns: `false` when the head is so far beyond the limits that it is not worth reading to its end.
    @inline(__always)
    mutating func add(_ name: OpaquePointer, _ value: OpaquePointer) -> Bool {
        guard flaw == nil else {
            fieldBytes += unsafe bytes(of: name).count + bytes(of: value).count + 32
            return fieldBytes <= Self.patience * limits.fieldBytes
        }
        unsafe take(name, value)
        return true
    }

    @inline(__always)
    private mutating func take(_ name: OpaquePointer, _ value: OpaquePointer) {
        let nameBytes = unsafe bytes(of: name)
        let valueBytes = unsafe bytes(of: value)
        fieldBytes += nameBytes.count + valueBytes.count + 32
        guard fieldBytes <= limits.fieldBytes else { return spoil(.tooLarge) }
        if unsafe nameBytes.first == UInt8(ascii: ":") {
            unsafe addPseudoField(nameBytes, value, valueBytes)
        } else {
            unsafe addField(nameBytes, valueBytes)
        }
    }

    /// Completes the text.
    mutating func finish() {
        defer { forgetPseudoFields() }
        writeFirstLine()
        writeCookies()
        guard kind != .trailers else { return }
        write { $0.write("\r\n") }
        if flaw == nil { lines.finish(headCount: text.count) }
    }

    /// What libnghttp2 has refused by itself.
    mutating func spoil(_ flaw: Flaw) {
        self.flaw = flaw
        text.release()
        lines.removeAll()
        cookies.release()
    }

    // MARK: Fields

    private mutating func addPseudoField(
        _ name: UnsafeBufferPointer<UInt8>, _ value: OpaquePointer, _ bytes: UnsafeBufferPointer<UInt8>
    ) {
        switch (name.count, kind) {
        case (7, .request) where unsafe equals(name, ":scheme"): break
        case (7, .request): unsafe method = hold(value, insteadOf: method)  // :method
        case (5, .request): unsafe path = hold(value, insteadOf: path)  // :path
        case (10, .request):  // :authority
            fieldCount += 1
            unsafe authorityValue = hold(value, insteadOf: authorityValue)
        case (7, _):  // :status, three digits as libnghttp2 has seen to
            kind = .response
            hasFirstLine = true
            isInterim = unsafe bytes.first == UInt8(ascii: "1")
            unsafe writeStatusLine(bytes)
        default: break
        }
    }

    @inline(__always)
    private mutating func addField(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
        fieldCount += 1
        guard fieldCount <= limits.fieldCount else { return spoil(.tooLarge) }
        guard unsafe !hasControls(name), unsafe !hasControls(value) else { return spoil(.malformed) }
        let field = unsafe FieldKind(name: Span(_unsafeElements: name))
        if kind == .request {
            writeFirstLine()
            if field == .cookie { return unsafe addCookie(value) }
            if field == .host, !authority.isEmpty { return unsafe compareAuthority(value) }
        }
        unsafe writeLine(field, name, value)
    }

    private mutating func writeLine(
        _ field: FieldKind, _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>
    ) {
        guard flaw == nil else { return }
        let start = text.count
        guard unsafe text.appendLine(Span(_unsafeElements: name), Span(_unsafeElements: value)) else {
            return spoil(text.freeCount < name.count + value.count + 4 ? .tooLarge : .noMemory)
        }
        lines.append(field, name: start, count: name.count, end: start + name.count + value.count + 4)
    }

    /// `:authority` became the host line already; a host field may only repeat it (RFC 9113 §8.3.1).
    private mutating func compareAuthority(_ value: UnsafeBufferPointer<UInt8>) {
        let isSame = unsafe isEqual(text.readable.extracting(authority), value)  // bounded: noted as it was written
        if !isSame { spoil(.malformed) }
    }

    /// An empty piece says nothing, and would leave a blank at the end of the value (RFC 9110 §5.5).
    private mutating func addCookie(_ value: UnsafeBufferPointer<UInt8>) {
        guard !value.isEmpty else { return }
        let hasRoom = cookies.freeCount >= value.count + 2
        let isFirst = cookies.isEmpty
        let written: Void? =
            hasRoom
            ? cookies.append {
                if !isFirst { $0.write("; ") }
                unsafe $0.write(Span(_unsafeElements: value))
            } : nil
        if written == nil { spoil(hasRoom ? .noMemory : .tooLarge) }
    }

    private mutating func writeCookies() {
        guard flaw == nil, !cookies.isEmpty else { return }
        guard text.freeCount >= cookies.count + 10 else { return spoil(.tooLarge) }
        let start = text.count
        write { $0.write("cookie: ") }
        let all = cookies.count
        if flaw == nil, append(cookies, to: &text) < all { spoil(.noMemory) }
        write { $0.write("\r\n") }
        lines.append(.cookie, name: start, count: 6, end: text.count)
        cookies.release()
    }

    /// Everything of the pseudo-fields, once they are complete.
    private mutating func writeFirstLine() {
        guard kind == .request, !hasFirstLine, flaw == nil else { return }
        hasFirstLine = true
        guard let method = unsafe method, let path = unsafe path else { return spoil(.malformed) }
        let methodBytes = unsafe bytes(of: method)
        let pathBytes = unsafe bytes(of: path)
        guard unsafe isForwardable(methodBytes, pathBytes) else { return spoil(.malformed) }
        let count = methodBytes.count + pathBytes.count + 12
        write(count) {
            unsafe $0.write(Span(_unsafeElements: methodBytes))
            $0.write(" ")
            unsafe $0.write(Span(_unsafeElements: pathBytes))
            $0.write(" HTTP/1.1\r\n")
        }
        guard let authorityValue = unsafe authorityValue else { return }
        let host = unsafe bytes(of: authorityValue)
        guard unsafe !hasControls(host), unsafe !contains(UInt8(ascii: "@"), host) else { return spoil(.malformed) }
        let start = text.count + 6
        authority = start..<start + host.count
        unsafe writeLine(.host, bytes(of: "host"), host)
    }

    /// No CONNECT, a path or `OPTIONS *`, and nothing that would end a line.
    private func isForwardable(_ method: UnsafeBufferPointer<UInt8>, _ path: UnsafeBufferPointer<UInt8>) -> Bool {
        if unsafe hasBlanksOrControls(method) || hasBlanksOrControls(path) || equals(method, "CONNECT") { return false }
        if unsafe path.first == UInt8(ascii: "/") { return true }
        return unsafe equals(path, "*") && equals(method, "OPTIONS")
    }

    // MARK: Writing

    private mutating func writeStatusLine(_ status: UnsafeBufferPointer<UInt8>) {
        write(status.count + 12) {
            $0.write("HTTP/1.1 ")
            unsafe $0.write(Span(_unsafeElements: status))
            $0.write(" \r\n")
        }
    }

    private mutating func write(_ count: Int = 16, _ body: (inout OutputSpan<UInt8>) -> Void) {
        guard flaw == nil else { return }
        guard text.freeCount >= count else { return spoil(.tooLarge) }
        if text.append(body) == nil { spoil(.noMemory) }
    }

    // MARK: Counted strings

    private func bytes(of text: StaticString) -> UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    private func bytes(of counted: OpaquePointer) -> UnsafeBufferPointer<UInt8> {
        let vector = unsafe nghttp2_rcbuf_get_buf(counted)
        return unsafe UnsafeBufferPointer(start: vector.base, count: vector.len)
    }

    private func hold(_ value: OpaquePointer, insteadOf old: OpaquePointer?) -> OpaquePointer {
        unsafe nghttp2_rcbuf_incref(value)
        if let old = unsafe old { unsafe nghttp2_rcbuf_decref(old) }
        return unsafe value
    }

    /// Lets go of what libnghttp2 counts.
    mutating func forgetPseudoFields() {
        unsafe drop(method, path, authorityValue)
        unsafe (method, path, authorityValue) = (nil, nil, nil)
    }
}

/// Lets go of strings that libnghttp2 counts.
private func drop(_ first: OpaquePointer?, _ second: OpaquePointer?, _ third: OpaquePointer?) {
    if let first = unsafe first { unsafe nghttp2_rcbuf_decref(first) }
    if let second = unsafe second { unsafe nghttp2_rcbuf_decref(second) }
    if let third = unsafe third { unsafe nghttp2_rcbuf_decref(third) }
}

private func lowered(_ byte: UInt8) -> UInt8 {
    byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
}

// bounded: equally long
/// Whether two authorities are the same; case does not count (RFC 3986 §6.2.2.1).
private func isEqual(_ left: Span<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    for index in left.indices where unsafe lowered(left[index]) != lowered(right[index]) { return false }
    return true
}

// bounded: equally long
private func equals(_ bytes: UnsafeBufferPointer<UInt8>, _ text: StaticString) -> Bool {
    guard bytes.count == text.utf8CodeUnitCount else { return false }
    for index in bytes.indices where unsafe bytes[index] != text.utf8Start[index] { return false }
    return true
}

/// CR, LF, NUL and the like: libnghttp2 refuses them; that no line can be forged does not hang on it alone.
private func hasControls(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    guard let start = bytes.baseAddress else { return false }
    guard bytes.count >= 8 else { return unsafe hasControl(bytes, from: 0, to: bytes.count) }
    var index = 0
    while index + 8 < bytes.count {
        if unsafe mayHoldControls(word(start + index)), unsafe hasControl(bytes, from: index, to: index + 8) {
            return true
        }
        index += 8
    }
    // Some of the last eight were looked at before.
    guard unsafe mayHoldControls(word(start + bytes.count - 8)) else { return false }
    return unsafe hasControl(bytes, from: bytes.count - 8, to: bytes.count)
}

private func word(_ start: UnsafePointer<UInt8>) -> UInt64 {
    unsafe UnsafeRawPointer(start).loadUnaligned(as: UInt64.self)
}

/// Whether one of eight bytes is below 0x20 or is 0x7f; a byte behind such a one may be taken for one too.
private func mayHoldControls(_ word: UInt64) -> Bool {
    let tops: UInt64 = 0x8080_8080_8080_8080
    let deletes = word ^ 0x7f7f_7f7f_7f7f_7f7f
    let low = (word &- 0x2020_2020_2020_2020) & ~word
    return (low | ((deletes &- 0x0101_0101_0101_0101) & ~deletes)) & tops != 0
}

// bounded: by the caller
private func hasControl(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int, to end: Int) -> Bool {
    for index in start..<end {
        let byte = unsafe bytes[index]
        if (byte < 0x20 && byte != 0x09) || byte == 0x7f { return true }
    }
    return false
}

private func contains(_ byte: UInt8, _ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    guard let start = bytes.baseAddress else { return false }
    return unsafe memchr(start, CInt(byte), bytes.count) != nil
}

private func hasBlanksOrControls(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    var found: UInt8 = 0
    for index in bytes.indices {
        let byte = unsafe bytes[index]
        found |= byte <= 0x20 || byte == 0x7f ? 1 : 0
    }
    return found != 0 || bytes.isEmpty
}
