// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Foundation
import Glibc
import TLS
import TestSupport
import Testing

@testable import PropagatingProxy

@Suite("Certificates that are read again")
struct TLSFilesTests {
    /// The control thread's part of a proxy with one listener, whose files the test changes.
    private final class Control {
        let folder: TemporaryFolder
        let loop: EventLoop
        let log: Log
        let files: TLSFiles
        let published: Published<ServerContext>

        init(_ name: String = "server-ecdsa", more: String = "") throws {
            folder = try TemporaryFolder()
            for end in ["pem", "key"] { try Self.copy("\(name).\(end)", to: "\(folder.path)/tls.\(end)") }
            let text = """
                listeners:
                  - name: front
                    address: 127.0.0.1:5000
                    tls: { certificates: [ { certificate: "\(folder.path)/tls.pem", key: "\(folder.path)/tls.key" } ], \(more) }
                    routes: [ { respond: {} } ]
                """
            let loaded = try ConfigurationLoader.load(text: Array(text.utf8), file: "p.yaml")
            loop = try EventLoop()
            log = try Log(level: .error, format: .text) { _ in }
            files = try TLSFiles(loaded.configuration, log: log)
            published = try #require(files.contexts.listeners[0])
            try files.start(on: loop)
        }

        deinit { log.stop() }

        private static func copy(_ name: String, to path: String) throws {
            try FileManager.default.copyItem(atPath: TestCertificates.path(name), toPath: path)
        }

        /// As careful programs do it: a new file takes the name.
        func replace(_ end: String, by name: String) throws {
            try Self.copy(name, to: "\(folder.path)/new")
            _ = rename("\(folder.path)/new", "\(folder.path)/tls.\(end)")
        }

        func renew() throws {
            try replace("pem", by: "server-renewed.pem")
            try replace("key", by: "server-renewed.key")
        }

        func run(seconds: Double = 60, until condition: () -> Bool) -> Bool {
            let end = Clock.monotonicMicroseconds + UInt64(seconds * 1_000_000)
            while !condition() {
                guard Clock.monotonicMicroseconds < end else { return false }
                loop.runOnce()
                usleep(500)
            }
            return true
        }

        /// Longer than the looks after a change take.
        func rest() { _ = run(seconds: 0.8) { false } }
    }

    @Test("A renewed pair is published once, and counted")
    func renewed() throws {
        let control = try Control()
        let before = control.files.figures.uses[0].certificates[0].notAfter
        #expect(control.published.version == 0)
        try control.renew()
        #expect(control.run { control.published.version > 0 })
        control.rest()
        #expect(control.published.version == 1)
        #expect(control.files.figures.loaded == 1 && control.files.figures.failed == 0)
        #expect(control.files.figures.uses[0].certificates[0].notAfter >= before)
    }

    @Test("A certificate with another one's key keeps the old pair and counts once; the right key ends it")
    func mismatch() throws {
        let control = try Control()
        try control.replace("pem", by: "server-renewed.pem")
        #expect(control.run { control.files.figures.failed == 1 })
        control.rest()
        #expect(control.files.figures.failed == 1 && control.files.figures.uses[0].isFailing)
        #expect(control.published.version == 0)
        try control.replace("key", by: "server-renewed.key")
        #expect(control.run { control.published.version == 1 })
        #expect(!control.files.figures.uses[0].isFailing)
    }

    @Test("A certificate whose key follows within a moment is no failure")
    func torn() throws {
        let control = try Control()
        try control.replace("pem", by: "server-renewed.pem")
        _ = control.run(seconds: 0.15) { false }
        try control.replace("key", by: "server-renewed.key")
        #expect(control.run { control.published.version == 1 })
        control.rest()
        #expect(control.files.figures.failed == 0 && control.files.figures.loaded == 1)
    }

    @Test(
        "What would be refused at the start keeps the old one",
        arguments: ["expired", "not-yet-valid", "crl", "absent", "cut"])
    func refused(_ what: String) throws {
        let control = try Control()
        switch what {
        case "crl": try control.replace("pem", by: "crl.pem")
        case "absent": unlink("\(control.folder.path)/tls.key")
        case "cut":
            let text = try String(contentsOfFile: TestCertificates.path("server-ecdsa.pem"), encoding: .utf8)
            _ = try control.folder.write(String(text.prefix(text.utf8.count - 200)), to: "tls.pem")
        default:
            try control.replace("pem", by: "\(what).pem")
            try control.replace("key", by: "\(what).key")
        }
        #expect(control.run { control.files.figures.failed == 1 })
        #expect(control.published.version == 0 && control.files.figures.uses[0].isFailing)
    }

    @Test("SIGHUP with unchanged files publishes nothing, and with wrong ones tells again")
    func signalled() throws {
        let control = try Control()
        control.files.reloadAll()
        control.rest()
        #expect(control.published.version == 0 && control.files.figures.loaded == 0)
        try control.replace("key", by: "server-renewed.key")
        #expect(control.run { control.files.figures.failed == 1 })
        control.files.reloadAll()
        #expect(control.run { control.files.figures.failed == 2 })
    }

    @Test("A changed file of authorities and a changed revocation list are published too")
    func authorities() throws {
        let folder = try TemporaryFolder()
        let root = try String(contentsOfFile: TestCertificates.anchors, encoding: .utf8)
        let list = try String(contentsOfFile: TestCertificates.revocations, encoding: .utf8)
        let path = try folder.write(root, to: "ca.pem")
        let lists = try folder.write(list, to: "crl.pem")
        let control = try Control(more: "client_certificates: { ca: \"\(path)\", crl: \"\(lists)\" }")
        let other = try String(contentsOfFile: TestCertificates.path("unknown-ca.pem"), encoding: .utf8)
        _ = try folder.write(root + other, to: "ca.pem")
        #expect(control.run { control.published.version == 1 })
        _ = try folder.write(list + "\n", to: "crl.pem")
        #expect(control.run { control.published.version == 2 })
        _ = try folder.write("", to: "ca.pem")
        #expect(control.run { control.files.figures.failed == 1 })
        #expect(control.published.version == 2)
    }

    @Test("/metrics shows when certificates end, and what became of reloads")
    func metrics() throws {
        let control = try Control()
        var text = MetricsText()
        control.files.figures.write(into: &text)
        let metrics = try Metrics(String(decoding: text.bytes, as: UTF8.self))
        let end = metrics["propagating_proxy_tls_certificate_not_after_seconds", ["kind": "listener", "name": "front"]]
        #expect(end > Int(time(nil)) + 3000 * 86_400)
        #expect(metrics["propagating_proxy_tls_reload_failing", ["name": "front"]] == 0)
        #expect(metrics["propagating_proxy_tls_reloads_total"] == 0)
    }
}
