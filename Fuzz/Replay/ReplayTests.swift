// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@Suite("Inputs that fuzzing once found")
struct ReplayTests {
    @Test("No input that ever broke a law breaks one again", arguments: KeptInput.all)
    func replay(_ kept: KeptInput) throws {
        let target = try #require(try FuzzTargets.make(kept.target))
        try target.check(Array(Data(contentsOf: kept.file)))
    }

    @Test("Every target takes an empty input", arguments: FuzzTargets.names)
    func empty(name: String) throws {
        let target = try #require(try FuzzTargets.make(name))
        try target.check([])
    }

    @Test("Every kept input belongs to a target, and some are found")
    func folders() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: KeptInput.root.path)
        #expect(Set(folders).isSubset(of: FuzzTargets.names))
        #expect(!KeptInput.all.isEmpty)
    }
}

/// One file of `Fuzz/Regressions/TARGET/`.
struct KeptInput: CustomTestStringConvertible {
    let target: String
    let file: URL

    var testDescription: String { "\(target)/\(file.lastPathComponent)" }

    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Regressions")

    static let all: [KeptInput] = FuzzTargets.names.flatMap { name in
        let folder = root.appending(path: name)
        let files = try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return (files ?? []).sorted { $0.path < $1.path }.map { KeptInput(target: name, file: $0) }
    }
}
