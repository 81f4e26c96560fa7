// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Raw requests and responses, good and evil, through the binary to a strict recording upstream (Cases/h1_replay.py).
@Suite("Message replay", .enabled(if: Tool.python != nil, "python3 is not installed"), .serialized)
struct ReplayTests {
    private struct Verdict: Decodable {
        let id: String
        let verdict: String
        let outcome: String
        let why: [String]?
    }

    @Test(
        "No raw message is smuggled, ambiguous or answered for another, sent at once or byte by byte",
        arguments: [0, 1])
    func replay(pieces: Int) throws {
        let folder = try TemporaryFolder()
        let cases = "\(Tool.repository)/Tests/IntegrationTests/Cases"
        let (addressFile, resultFile) = ("\(folder.path)/address", "\(folder.path)/result.json")
        let outsiderFile = "\(folder.path)/outsider"
        let driver = try RunningProgram(
            try #require(Tool.python),
            [
                "-u", "-B", "\(cases)/h1_replay.py", "--proxy", "@\(addressFile)", "--upstream-port", "0",
                "--cases", "\(cases)/h1-cases.json", "--json", resultFile, "--ours", "--trace", "--pieces", "\(pieces)",
                "--outsider", "@\(outsiderFile)",
            ])
        let port = try driver.printedPort("upstream-port")
        var text = ConfigurationText(upstream: .ipv4(port: port))
        text.listeners = ["edge": ["trusted_cidrs: [\"::1/128\"]"]]
        let proxy = try ProxyProcess(configuration: text.yaml, folder: folder)
        _ = try folder.write("\(proxy.address())\n", to: "address")
        _ = try folder.write("\(proxy.address(of: "edge"))\n", to: "outsider")

        #expect(driver.waitForExit(seconds: 1200) != nil)
        let data = try #require(FileManager.default.contents(atPath: resultFile), "\(driver.output.suffix(2000))")
        let verdicts = try JSONDecoder().decode([Verdict].self, from: data)
        let passed = verdicts.filter { $0.verdict == "ok" }.count
        let critical = verdicts.filter { $0.verdict == "crit" }
        let failed = verdicts.filter { $0.verdict == "FAIL" }
        print(
            "replay: \(passed) of \(verdicts.count) ok, \(critical.count) crit; not ok: \(failed.map(\.id).joined(separator: " "))"
        )
        #expect(verdicts.count == 291)
        for verdict in critical + failed { Issue.record("\(verdict.id): \(verdict.outcome) \(verdict.why ?? [])") }
        #expect(passed == verdicts.count)
        #expect(proxy.program.isRunning)
    }
}
