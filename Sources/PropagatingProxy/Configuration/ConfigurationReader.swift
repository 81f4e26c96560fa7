// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Propagation
import SpanEmitter

/// Turns a tree of nodes into a configuration. Every mistake goes to `mistakes`; with one there, the
/// answer is not to be used.
struct ConfigurationReader {
    let mistakes: Mistakes
    /// Whether the files of certificates and keys are looked into.
    var readsFiles = true

    func read(_ tree: YAMLNode) -> Configuration {
        let root = MappingReader(tree, "", parent: tree.origin, mistakes)
        let tls = TLSReader(mistakes: mistakes, files: readsFiles ? TLSFileLoader() : nil)
        let upstreams = UpstreamReader(mistakes: mistakes, tls: tls).read(root)
        let limits = limits(root.mapping("limits"))
        let configuration = Configuration(
            service: service(root),
            workers: root.converted("workers", "auto or a number from 1 to 256", Self.workers) ?? Host.allowedCPUs,
            listeners: ListenerReader(mistakes: mistakes, upstreams: upstreams, tls: tls).read(root),
            upstreams: upstreams,
            tracing: TracingReader(mistakes: mistakes, tls: tls).read(root.mapping("tracing")),
            admin: admin(root),
            log: log(root.mapping("log")),
            shutdown: shutdown(root.mapping("shutdown")),
            limits: limits)
        OwnListeners(mistakes: mistakes, listeners: configuration.listeners).check(root)
        root.finish()
        return configuration
    }

    private static func workers(_ text: String) -> Int? {
        text == "auto" ? Host.allowedCPUs : Int(text).flatMap { (1...256).contains($0) ? $0 : nil }
    }

    private func service(_ root: MappingReader) -> String {
        let expected = "a name of at most 255 bytes without control characters"
        return root.converted("service", expected) { text in
            text.utf8.count <= 255 && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } ? text : nil
        } ?? "propagating-proxy"
    }

    private func admin(_ root: MappingReader) -> Configuration.Admin? {
        let standard = SocketAddress(literal: "127.0.0.1", port: 9901) ?? SocketAddress()
        if let node = root.value("admin"), case .scalar(let text) = node.content {
            if text != "off" { mistakes.add(node.origin, "'admin' is '\(text)', expected a mapping or off") }
            return nil
        }
        let reader = root.mapping("admin")
        defer { reader.finish() }
        let given = reader.value("address")
        let address = reader.converted("address", AddressNotation.listenExpected, AddressNotation.listen)
        let allowsRemote = reader.flag("allow_remote", default: false)
        if let address, let given, !address.socketAddress.isLoopback, !allowsRemote {
            mistakes.add(
                given.origin,
                "the admin address \(address) can be reached from other machines, expected a loopback address"
                    + " or allow_remote: true")
        }
        return Configuration.Admin(
            address: address ?? Configuration.ListenAddress(socketAddress: standard), allowsRemote: allowsRemote)
    }

    private func log(_ reader: MappingReader) -> Configuration.Log {
        defer { reader.finish() }
        return Configuration.Log(
            level: reader.choice("level", LogLevel.self) ?? .info,
            format: reader.choice("format", LogFormat.self) ?? .text)
    }

    private func shutdown(_ reader: MappingReader) -> Configuration.Shutdown {
        defer { reader.finish() }
        return Configuration.Shutdown(
            drainDelayMilliseconds: reader.duration("drain_delay", from: 0, default: 5000),
            graceMilliseconds: reader.duration("grace", from: 0, default: 30_000),
            flushMilliseconds: reader.duration("flush", from: 0, default: 2000))
    }

    private func limits(_ reader: MappingReader) -> Configuration.Limits {
        defer { reader.finish() }
        let head = reader.size("head", 1024...1 << 20, default: 65_536)
        return Configuration.Limits(
            headBytes: head,
            fieldCount: reader.integer("fields", 1...100, default: 100),
            targetBytes: reader.size("target", 64...1 << 20, default: min(16_384, head)),
            bodyBytes: UInt64(reader.size("body", 0...1 << 50, default: 0)),
            connections: reader.integer("connections", 0...1_000_000, default: 0),
            bufferBytes: reader.size("buffers", 1 << 20...1 << 40, default: 256 << 20))
    }
}
