// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import TestSupport
import Testing

@testable import EventLoop

@Suite("Watching files")
struct FileWatchTests {
    /// A watch on some files of a folder, with the news of it.
    private final class Watched {
        let folder: TemporaryFolder
        let loop: EventLoop
        private(set) var news = 0
        private var watch: FileWatch?
        private let paths: [String]

        init(_ names: String...) throws {
            folder = try TemporaryFolder()
            loop = try EventLoop()
            paths = [folder.path].flatMap { folder in names.map { "\(folder)/\($0)" } }
            watch = try FileWatch(on: loop) { [unowned self] in news += 1 }
        }

        @discardableResult
        func look() -> Bool { watch?.watch(paths) ?? false }

        /// Whether there is news, which is then old.
        func hasNews(within seconds: Double = 60) -> Bool {
            defer { news = 0 }
            return drive(loop, seconds: seconds) { news > 0 }
        }

        var isQuiet: Bool { !hasNews(within: 0.05) }

        func link(_ target: String, as name: String) { _ = symlink(target, "\(folder.path)/\(name)") }
        func makeFolder(_ name: String) { _ = mkdir("\(folder.path)/\(name)", 0o700) }
        func move(_ name: String, to other: String) {
            _ = rename("\(folder.path)/\(name)", "\(folder.path)/\(other)")
        }
        func remove(_ name: String) { _ = Glibc.remove("\(folder.path)/\(name)") }
    }

    @Test("A file that is written, replaced, removed or made is told; another name beside it is not")
    func files() throws {
        let watched = try Watched("a")
        _ = try watched.folder.write("1", to: "a")
        #expect(watched.look() && watched.isQuiet)
        _ = try watched.folder.write("2", to: "a")
        #expect(watched.hasNews())
        _ = try watched.folder.write("x", to: "b")
        #expect(watched.isQuiet)
        watched.move("b", to: "a")
        #expect(watched.hasNews())
        watched.remove("a")
        #expect(watched.hasNews())
        _ = try watched.folder.write("3", to: "a")
        #expect(watched.hasNews())
        watched.link("a", as: "c")
        watched.move("c", to: "a")
        #expect(watched.hasNews())
    }

    @Test("A ..data link that is swapped, as Kubernetes does it, is told again and again")
    func swappedLink() throws {
        let watched = try Watched("tls.crt", "tls.key")
        for generation in 0..<3 {
            let next = "..\(generation)"
            watched.makeFolder(next)
            for name in ["tls.crt", "tls.key"] { _ = try watched.folder.write("x", to: "\(next)/\(name)") }
            watched.link(next, as: "..data_tmp")
            watched.move("..data_tmp", to: "..data")
            if generation == 0 {
                for name in ["tls.crt", "tls.key"] { watched.link("..data/\(name)", as: name) }
            } else {
                #expect(watched.hasNews())
            }
            #expect(watched.look())
            #expect(watched.isQuiet)
            // In place, behind the link.
            _ = try watched.folder.write("y", to: "\(next)/tls.key")
            #expect(watched.hasNews())
        }
    }

    @Test("A file whose folder is not there yet is told when it comes")
    func missingFolder() throws {
        let watched = try Watched("in/here/a")
        #expect(watched.look())
        watched.makeFolder("in")
        #expect(watched.hasNews() && watched.look())
        watched.makeFolder("in/here")
        #expect(watched.hasNews() && watched.look())
        _ = try watched.folder.write("1", to: "in/here/a")
        #expect(watched.hasNews())
        watched.move("in/here", to: "in/there")
        #expect(watched.hasNews())
    }

    @Test("Links that lead to themselves end, and what is no longer asked for is not told")
    func loopsAndEnd() throws {
        let watched = try Watched("a")
        watched.link("b", as: "a")
        watched.link("a", as: "b")
        #expect(watched.look())
        watched.remove("b")
        #expect(watched.hasNews() && watched.look())
        let loop = watched.loop
        var news = 0
        let watch = try FileWatch(on: loop) { news += 1 }
        #expect(watch.watch(["\(watched.folder.path)/a"]))
        #expect(watch.watch([]))
        watched.remove("a")
        #expect(watched.hasNews())
        #expect(news == 0)
    }
}
