// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Calls of every kind, made by grpcio to grpcio directly and through the binary (Cases/grpc_interop.py): what caller and
/// server see is the same.
@Suite(
    "gRPC through the proxy is gRPC without it",
    .enabled(if: Tool.hasGRPC, "grpcio is not installed; scripts/setup python brings it"))
struct GRPCInteropTests {
    static let script = "\(Tool.repository)/Tests/IntegrationTests/Cases/grpc_interop.py"

    /// A case of the script, and what it promises.
    struct Case: CustomTestStringConvertible {
        let name: String
        let promise: String

        init(_ name: String, _ promise: String) { (self.name, self.promise) = (name, promise) }

        var testDescription: String { "\(name): \(promise)" }
    }

    static let cases = [
        Case("empty_unary", "A message without bytes is a message"),
        Case("large_unary", "A large message is answered by a larger one"),
        Case("four_mebibytes", "4 MiB arrive whole in both directions"),
        Case("client_streaming", "Every message of the caller's stream arrives"),
        Case("server_streaming", "Every message of the server's stream arrives"),
        Case("ping_pong", "A message goes on at once, without waiting for the next"),
        Case("empty_stream", "A stream without messages ends well"),
        Case("half_close", "The caller's end reaches a server that has said nothing yet"),
        Case("server_speaks_first", "A server may speak before its caller"),
        Case("cancel_after_begin", "The server learns at once that its caller has cancelled"),
        Case("cancel_after_first_response", "The server learns in mid-stream that its caller has cancelled"),
        Case("deadline_on_sleeping_server", "The deadline is known to the server and ends the call on both sides"),
        Case("metadata", "Metadata keep order, repetition and every byte of binary values"),
        Case("large_metadata", "Metadata of 3 kB pass both ways"),
        Case("status_and_message", "Each status arrives with its message, unicode included"),
        Case("error_details", "Metadata of a failure arrive, before and after messages"),
        Case("early_finish", "A server that ends early is understood while the caller still sends"),
        Case("unimplemented_method", "An unknown method is the server's to refuse"),
        Case("unimplemented_service", "An unknown service is the server's to refuse"),
        Case("message_too_large", "A message that the server refuses costs no other call"),
        Case("compressed", "Compressed messages pass as they are"),
        Case("slow_reader", "A slow reader gets everything and holds up no other call of its connection"),
        Case("thousand_streams", "A thousand streams are open at once"),
        Case("thousand_calls_on_one_connection", "Calls beyond a connection's streams wait their turn"),
        Case("goaway_mid_load", "A server that sends its connections away fails no call"),
        Case("upstream_restart", "Calls are unavailable while the server restarts, and work again after"),
        Case("upstream_dies", "A stream whose server dies is unavailable after what was said"),
    ]

    @Test("Every case of the script is a test here")
    func complete() throws {
        let (status, output) = try Tool.run(try #require(Tool.python), ["-B", Self.script, "--list"])
        #expect(status == 0)
        #expect(output.split(separator: "\n").map(String.init) == Self.cases.map(\.name))
    }

    @Test("An open stream's messages are not held up, and its spans carry their number and its length")
    func openStream() throws {
        let (status, output) = try Tool.run(
            try #require(Tool.python),
            [
                "-B", "\(Tool.repository)/scripts/verify/bidi.py", "--binary", ProxyProcess.binary, "--messages", "20",
                "--period", "0.15", "--most-added", "30000", "--most-middle", "500", "--most-off", "30",
                // What is freed AddressSanitizer keeps for a while.
                "--most-grown", isSanitized ? "32768" : "2048",
            ])
        #expect(status == 0, "\(output)")
        #expect(output.contains("all hold"))
    }

    @Test("What both ends see is the same", arguments: cases)
    func equal(_ wanted: Case) throws { try compare(wanted) }

    /// The four kinds of call, and what ends them early.
    static let secureCases: Set = [
        "large_unary", "client_streaming", "server_streaming", "ping_pong", "cancel_after_first_response", "metadata",
        "status_and_message", "early_finish", "goaway_mid_load", "upstream_restart",
    ]

    @Test("It is with TLS on both sides too", arguments: cases.filter { secureCases.contains($0.name) })
    func equalBySecure(_ wanted: Case) throws {
        let folder = try TestCertificates.path("")
        let pair = try TestCertificates.pair("server-ecdsa")
        try compare(wanted, options: ["--server-tls", folder, "--proxy-tls", folder]) {
            $0.listener += ["tls: { certificates: [\(pair.yaml)] }", "timeouts: { tls_handshake: 60s }"]
            $0.upstreams["app"]?.append(SecureStage.yaml(try SecureStage.lines()))
        }
    }

    private func compare(
        _ wanted: Case, options: [String] = [], configure: (inout ConfigurationText) throws -> Void = { _ in }
    ) throws {
        let folder = try TemporaryFolder()
        let addressFile = "\(folder.path)/address"
        let driver = try RunningProgram(
            try #require(Tool.python),
            ["-u", "-B", Self.script, "--proxy", "@\(addressFile)", "--case", wanted.name] + options)
        let port = try driver.printedPort("upstream-port")
        var text = ConfigurationText(upstream: .ipv4(port: port))
        text.workers = 2
        text.upstreams["app", default: []] += ["protocol: http2", "max_requests: 4096", "timeouts: { response: 120s }"]
        try configure(&text)
        let proxy = try ProxyProcess(configuration: text.yaml, folder: folder)
        _ = try folder.write("\(proxy.address())\n", to: "address")
        let status = driver.waitForExit(seconds: 400)
        #expect(status == 0, "\(driver.output.suffix(4000))\n\(proxy.log.suffix(2000))")
        #expect(proxy.program.isRunning)
    }
}
