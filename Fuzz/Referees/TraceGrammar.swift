// SPDX-License-Identifier: Apache-2.0
import Propagation

/// The grammar of the trace fields that leave: B3 as its specification prints it, W3C Trace Context Level 2.
enum TraceGrammar {
    /// By field, the shapes of a value: a number stands for so many lower-case hex digits, `s` for a B3 state, `v` for
    /// `00`, `f` for the other W3C flags.
    private static func shapes(_ format: TraceFormat) -> [String: [String]] {
        switch format {
        case .b3Single: ["b3": ["16-16-s", "32-16-s", "16-16-s-16", "32-16-s-16"]]
        case .b3Multi:
            [
                "x-b3-traceid": ["16", "32"], "x-b3-spanid": ["16"], "x-b3-parentspanid": ["16"], "x-b3-sampled": ["s"],
                "x-b3-flags": ["s"],
            ]
        case .traceContext: ["traceparent": ["v-32-16-v", "v-32-16-f"]]
        }
    }

    static func check(_ lines: [TraceFields.Line], _ format: TraceFormat) throws(BrokenLaw) {
        let shapes = shapes(format)
        var seen: Set<String> = []
        for (name, value) in lines {
            let name = String(decoding: name, as: UTF8.self).lowercased()
            try hold(seen.insert(name).inserted, "\(name) is written twice")
            let shape = value.split(separator: UInt8(ascii: "-")).map(part).joined(separator: "-")
            try hold(shapes[name]?.contains(shape) == true, "\(name) is \(String(decoding: value, as: UTF8.self))")
        }
        try hold(
            seen.contains(format == .b3Single ? "b3" : format == .b3Multi ? "x-b3-traceid" : "traceparent"),
            "nothing is written")
    }

    private static func part(_ text: ArraySlice<UInt8>) -> String {
        if text.elementsEqual("00".utf8) { return "v" }
        if text.count == 1, "01d".utf8.contains(text[text.startIndex]) { return "s" }
        if text.count == 2, text.first == UInt8(ascii: "0"), "0123".utf8.contains(text[text.startIndex + 1]) {
            return "f"
        }
        let isID = text.allSatisfy { "0123456789abcdef".utf8.contains($0) } && text.contains { $0 != UInt8(ascii: "0") }
        return isID ? String(text.count) : "?"
    }

    /// At most 32 members `key=value` with different keys (W3C §3.3.1), at most 8 KiB.
    static func check(state line: TraceFields.Line) throws(BrokenLaw) {
        try hold(line.name.elementsEqual("tracestate".utf8) && line.value.count <= 8192, "tracestate is too long")
        let members = line.value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        try hold(members.count <= 32, "tracestate has too many members")
        var keys: Set<ArraySlice<UInt8>> = []
        for member in members {
            let parts = member.split(separator: UInt8(ascii: "="), omittingEmptySubsequences: false)
            try hold(parts.count == 2 && !parts[0].isEmpty && !parts[1].isEmpty, "a member is no key=value")
            try hold(keys.insert(parts[0]).inserted, "a key stands twice")
            try hold(
                parts[1].allSatisfy { (0x20...0x7E).contains($0) } && parts[1].last != 0x20,
                "a value holds a forbidden byte")
        }
    }
}
