// SPDX-License-Identifier: Apache-2.0
import Propagation
import SpanEmitter

/// Reads `tracing`.
struct TracingReader {
    let mistakes: Mistakes
    let tls: TLSReader

    /// Health checks, and our own and others' reporting endpoints.
    static let neverPaths = [
        "/healthz", "/health", "/ready", "/grpc.health.v1.*", "POST */api/v1/spans", "POST */api/v2/spans",
        "POST /v1/traces", "POST */api/otlp/traces",
    ]

    private static let formats: [(String, TraceFormat)] = [
        ("b3", .b3Single), ("b3multi", .b3Multi), ("tracecontext", .traceContext),
    ]

    func read(_ reader: MappingReader) -> Configuration.Tracing {
        defer { reader.finish() }
        let propagation = reader.mapping("propagation")
        let extract = formats(propagation, "extract") ?? [.b3Single, .b3Multi, .traceContext]
        let inject = formats(propagation, "inject") ?? [.b3Multi]
        checkFamilies(propagation, inject)
        propagation.finish()
        let modes: [(String, SpanMode)] = [
            ("new_child", .newChild), ("join", .join), ("single", .single), ("sidecar", .sidecar),
        ]
        let profile = reader.choice("profile", ExporterReader.profiles)
        return Configuration.Tracing(
            extract: FormatList(extract), inject: FormatList(inject),
            mode: reader.choice("mode", modes) ?? .newChild,
            traceIDBits: reader.choice("trace_id_bits", [("128", 128), ("64", 64)]) ?? 128,
            sampling: sampling(reader.mapping("sampling")),
            exporters: ExporterReader(mistakes: mistakes, tls: tls, profile: profile).read(reader))
    }

    private func formats(_ reader: MappingReader, _ key: String) -> [TraceFormat]? {
        guard reader.value(key) != nil else { return nil }
        let names = Self.formats.map(\.0)
        let expected = "one of \(names.joined(separator: ", "))"
        var found: [TraceFormat] = []
        for item in reader.list(key) {
            guard let (text, origin) = reader.text(item, key, expected) else { continue }
            guard let index = names.firstIndex(of: text) else {
                let hint = Suggestion.text(for: text, among: names)
                mistakes.add(origin, "'\(text)' is no format\(hint), expected \(expected)")
                continue
            }
            if found.contains(Self.formats[index].1) {
                mistakes.add(origin, "'\(text)' is given twice, expected once")
            } else {
                found.append(Self.formats[index].1)
            }
        }
        return found
    }

    /// What comes next may read one family of B3 and pass the other on as it came.
    private func checkFamilies(_ reader: MappingReader, _ inject: [TraceFormat]) {
        guard inject.contains(.b3Single), inject.contains(.b3Multi), let node = reader.value("inject") else { return }
        mistakes.add(
            node.origin,
            "'inject' has both b3 and b3multi, expected one of them: a mesh updates only the form it reads, and the"
                + " other, left stale, tears traces apart")
    }

    private func sampling(_ reader: MappingReader) -> Configuration.Sampling {
        defer { reader.finish() }
        let threshold = reader.converted("percent", "a number from 0 to 100, without a % sign") {
            SamplingThreshold(percentText: $0)
        }
        return Configuration.Sampling(
            threshold: threshold ?? .always,
            maxTracesPerSecond: reader.integer("max_per_second", 0...1_000_000, default: 0),
            debugPerSecond: reader.integer("debug_per_second", 0...1_000_000, default: 10),
            neverPaths: neverPaths(reader))
    }

    private func neverPaths(_ reader: MappingReader) -> [PathGlob] {
        guard reader.value("never_paths") != nil else { return Self.neverPaths.compactMap { PathGlob($0) } }
        let expected = "a path such as /healthz, /health* or POST */api/v2/spans"
        return reader.list("never_paths").compactMap { item in
            guard let (text, origin) = reader.text(item, "never_paths", expected) else { return nil }
            if let glob = PathGlob(text) { return glob }
            mistakes.add(origin, "'\(text)' is no path, expected \(expected)")
            return nil
        }
    }
}
