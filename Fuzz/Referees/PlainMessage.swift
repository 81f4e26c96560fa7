// SPDX-License-Identifier: Apache-2.0

/// One HTTP/1.1 message as the strictest receiver would read it (RFC 9112), the whole of it at hand. Judges what the
/// product sends, and shares no code with it: what this refuses or reads differently could be smuggled.
struct PlainMessage {
    enum Framing: Equatable { case none, length(Int), chunked }

    /// The three parts of the first line.
    let start: [ArraySlice<UInt8>]
    let fields: [PlainField]
    let framing: Framing
    /// What comes behind the head.
    let rest: ArraySlice<UInt8>

    /// - Parameters:
    ///   - isRequest: also demands a request line, one Host and a length for every body.
    ///   - isReceived: the fields need only be lines; what they mean is for the product to judge.
    init(_ bytes: [UInt8], isRequest: Bool, isReceived: Bool = false) throws(BrokenLaw) {
        var reader = LineReader(bytes[...])
        do {
            let line = try reader.line()
            start = line.split(separator: 32, maxSplits: 2, omittingEmptySubsequences: false)
            guard start.count == 3, isRequest ? Self.isRequestLine(start) : Self.isStatusLine(start) else {
                throw LineReader.Malformed()
            }
            var fields: [PlainField] = []
            while case let line = try reader.line(), !line.isEmpty { fields.append(try PlainField(line)) }
            self.fields = fields
            framing = isReceived ? .none : try Self.framing(fields)
        } catch {
            throw BrokenLaw(law: "what is sent is no strict head (\(error)): \(String(decoding: bytes, as: UTF8.self))")
        }
        rest = bytes[reader.position...]
        guard isRequest, !isReceived else { return }
        try hold(values("host").count == 1 && values("host") != [[]], "what is sent has not one Host")
    }

    func values(_ name: String) -> [[UInt8]] { fields.filter { $0.name == name }.map(\.value) }

    private static func isRequestLine(_ parts: [ArraySlice<UInt8>]) -> Bool {
        isToken(parts[0]) && !parts[1].isEmpty && parts[1].allSatisfy { (33...126).contains($0) && $0 != 35 }
            && parts[2].elementsEqual("HTTP/1.1".utf8)
    }

    private static func isStatusLine(_ parts: [ArraySlice<UInt8>]) -> Bool {
        parts[0].elementsEqual("HTTP/1.1".utf8) && parts[1].count == 3 && parts[1].allSatisfy { (48...57).contains($0) }
            && parts[1].first != 48 && parts[2].allSatisfy { $0 == 9 || $0 >= 32 && $0 != 127 }
    }

    /// RFC 9112 §6.3, with every latitude taken away.
    private static func framing(_ fields: [PlainField]) throws -> Framing {
        let codings = fields.filter { $0.name == "transfer-encoding" }
        let lengths = fields.filter { $0.name == "content-length" }
        switch (codings.count, lengths.count) {
        case (0, 0): return .none
        case (1, 0) where codings[0].value.elementsEqual("chunked".utf8): return .chunked
        case (0, 1):
            let text = String(decoding: lengths[0].value, as: UTF8.self)
            guard let length = Int(text), String(length) == text else { throw LineReader.Malformed() }
            return .length(length)
        default: throw LineReader.Malformed()
        }
    }
}
