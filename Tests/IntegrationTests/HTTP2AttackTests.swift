// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

private let hasHPACK: Bool = {
    guard let python = Tool.python else { return false }
    return (try? Tool.run(python, ["-c", "import hpack"], within: 60).0) == 0
}()

/// Raw HTTP/2 frames, good and evil, through the binary to a strict recording HTTP/1.1 upstream (Cases/h2_attacks.py).
@Suite(
    "HTTP/2 attacks", .enabled(if: hasHPACK, "hpack is not installed; scripts/setup python brings it"),
    .serialized)
struct HTTP2AttackTests {
    private struct Verdict: Decodable {
        let name: String
        let kind: String
        let verdict: String
        let outcome: String
        let why: [String]
        let peak_kb: Int
    }

    @Test("Frames out of order are refused, nothing is smuggled on, every flood meets a limit, memory stays small")
    func attacks() throws {
        let folder = try TemporaryFolder()
        let resultFile = "\(folder.path)/result.json"
        let driver = try RunningProgram(
            try #require(Tool.python),
            [
                "-u", "-B", "\(Tool.repository)/Tests/IntegrationTests/Cases/h2_attacks.py",
                "--target", "@\(folder.path)/address", "--pid", "@\(folder.path)/pid", "--upstream-port", "0",
                "--json", resultFile,
            ])
        let port = try driver.printedPort("upstream-port")
        let proxy = try ProxyProcess(
            configuration: ConfigurationText(upstream: .ipv4(port: port)).yaml, folder: folder)
        _ = try folder.write("\(proxy.address())\n", to: "address")
        _ = try folder.write("\(proxy.program.pid)\n", to: "pid")

        #expect(driver.waitForExit(seconds: 1200) != nil)
        let data = try #require(FileManager.default.contents(atPath: resultFile), "\(driver.output.suffix(2000))")
        let verdicts = try JSONDecoder().decode([Verdict].self, from: data)
        for verdict in verdicts where verdict.verdict != "ok" {
            Issue.record("\(verdict.verdict) \(verdict.name): \(verdict.outcome) \(verdict.why)")
        }
        for (kind, count) in ["conf": 31, "msg": 56, "flood": 30] {
            #expect(verdicts.filter { $0.kind == kind }.count == count, "\(kind)")
        }
        if !isSanitized {
            let grown = Dictionary(uniqueKeysWithValues: verdicts.map { ($0.name, $0.peak_kb) })
            #expect(try #require(grown["size-stalled-readers"]) < 10_000)
            #expect(try #require(grown["size-streams"]) < 1000)
        }
        #expect(proxy.program.isRunning)
    }
}
