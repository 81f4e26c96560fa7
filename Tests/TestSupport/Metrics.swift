// SPDX-License-Identifier: Apache-2.0

/// A scrape in Prometheus' text format.
public struct Metrics: Sendable, CustomStringConvertible {
    public struct Sample: Sendable {
        public let name: String
        public let labels: [String: String]
        public let value: Double
    }

    public let description: String
    public let samples: [Sample]

    public init(_ text: String) throws {
        description = text
        samples = try text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map(Self.sample)
    }

    /// The sum over the samples of this name that carry these labels, whatever else they carry.
    public subscript(name: String, labels: [String: String] = [:]) -> Int {
        let found = samples.filter { sample in
            sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value }
        }
        return Int(found.reduce(0) { $0 + $1.value })
    }

    private static func sample(_ line: Substring) throws -> Sample {
        guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else {
            throw SocketError.malformed("metric line \(line)")
        }
        let series = line[..<space]
        guard let brace = series.firstIndex(of: "{") else {
            return Sample(name: String(series), labels: [:], value: value)
        }
        var labels: [String: String] = [:]
        // Label values in our tests hold no comma and no escape.
        for pair in series[series.index(after: brace)...].dropLast().split(separator: ",") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, parts[1].hasPrefix("\""), parts[1].hasSuffix("\"") else {
                throw SocketError.malformed("metric line \(line)")
            }
            labels[String(parts[0])] = String(parts[1].dropFirst().dropLast())
        }
        return Sample(name: String(series[..<brace]), labels: labels, value: value)
    }
}
