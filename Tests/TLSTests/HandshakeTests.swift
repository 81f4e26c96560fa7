// SPDX-License-Identifier: Apache-2.0
import EventLoop
import TLS
import TestSupport
import Testing

@Suite("What two ends of a TLS connection agree on")
struct HandshakeTests {
    @Test("The newest version both speak, the protocol the server prefers, and the names are known to both")
    func agreement() throws {
        let line = try Line(
            client: Loaded.client(protocols: [.http1, .http2]), server: Loaded.server("server-ecdsa"))
        #expect(line.shakeHands() == (.done, .done))
        #expect(line.client.session.version == .tls13)
        #expect(line.client.session.selectedProtocol == .http2)
        #expect(line.server.session.selectedProtocol == .http2)
        #expect(line.server.session.requestedName == "localhost")
        #expect(line.client.session.peer?.dnsNames.contains("localhost") == true)
        #expect(line.server.session.peer == nil)
        #expect(!line.client.session.isResumed)
    }

    @Test("A peer without ALPN is served, one with only strange protocols is refused with the alert for it")
    func protocols() throws {
        let none = try Line(client: Loaded.client(protocols: []), server: Loaded.server("server"))
        #expect(none.shakeHands() == (.done, .done))
        #expect(none.server.session.selectedProtocol == nil)

        let strange = try Line(
            client: Loaded.client(protocols: [.http1]), server: Loaded.server("server", protocols: [.http2]))
        #expect(strange.shakeHands() == (.failed(.alertNoALPN), .failed(.noALPN)))
    }

    @Test("Certificates on both sides: each end knows who the other is")
    func mutual() throws {
        let authentication = try ServerSettings.ClientAuthentication(
            isRequired: true, anchors: Loaded.anchors(), allowedNames: ["spiffe://example.test/ns/default/*"])
        let line = try Line(
            client: Loaded.client(identity: "client"),
            server: Loaded.server("server", authentication: authentication))
        #expect(line.shakeHands() == (.done, .done))
        #expect(line.server.session.peer?.uris == ["spiffe://example.test/ns/default/sa/client"])
        #expect(line.server.session.peer?.fingerprint.count == 32)
        #expect(line.server.session.peer?.subject.contains("CN=client") == true)
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        var server: String
        var host = "localhost"
        var isRevoking = false
        var allowed: [String] = []
        var reason: TLSFailure
        var testDescription: String { "\(server) for \(host): \(reason.name)" }
    }

    @Test(
        "A server's certificate is refused for the reason it deserves",
        arguments: [
            Refusal(server: "expired", reason: .expired),
            Refusal(server: "not-yet-valid", reason: .notYetValid),
            Refusal(server: "wrong-name", reason: .nameMismatch),
            Refusal(server: "server", host: "127.0.0.2", reason: .nameMismatch),
            Refusal(server: "unknown", reason: .unknownCA),
            Refusal(server: "revoked-server", isRevoking: true, reason: .revoked),
            Refusal(server: "server", allowed: ["spiffe://example.test/*"], reason: .nameNotAllowed),
        ])
    func refusals(_ refusal: Refusal) throws {
        let line = try Line(
            client: Loaded.client(allowed: refusal.allowed, isRevoking: refusal.isRevoking),
            server: Loaded.server(refusal.server), host: refusal.host)
        let (client, server) = line.shakeHands()
        #expect(client == .failed(refusal.reason))
        if case .failed = server {} else { Issue.record("the server was not told: \(server)") }
    }

    @Test(
        "A caller's certificate is refused for the reason it deserves, and the caller is told",
        arguments: [
            (nil, TLSFailure.certificateRequired), ("client-expired", .expired), ("client-unknown", .unknownCA),
            ("revoked", .revoked), ("client-stranger", .nameNotAllowed),
        ] as [(String?, TLSFailure)], [TLSVersion.tls12, .tls13])
    func callerRefusals(_ refusal: (String?, TLSFailure), _ version: TLSVersion) throws {
        let authentication = try ServerSettings.ClientAuthentication(
            isRequired: true, anchors: Loaded.anchors(isRevoking: true),
            allowedNames: ["spiffe://example.test/*"])
        let line = try Line(
            client: Loaded.client(identity: refusal.0, from: version),
            server: Loaded.server("server", authentication: authentication))
        #expect(line.shakeHands().server == .failed(refusal.1))
        // In TLS 1.3 the caller hears of it only after its own handshake.
        line.run { line.client.session.failure != nil }
        #expect(line.client.session.failure.map { "\($0.name)".hasPrefix("alert_") } == true)
    }

    @Test("Several certificates: each name gets its own, of the kind of key that goes with it")
    func serverNames() throws {
        let server = try Loaded.server("server", "server-ecdsa", "other")
        #expect(server.groupCount == 2)
        #expect(server.shownGroup(for: "LOCALHOST") == 0)
        #expect(server.shownGroup(for: "deep.example.test") == 0)
        #expect(server.shownGroup(for: "too.deep.example.test") == 0)
        #expect(server.shownGroup(for: "other.test") == 1)
        for (name, group) in [("localhost", 0), ("a.example.test", 0), ("other.test", 1)] {
            let line = try Line(client: Loaded.client(), server: server, host: name)
            #expect(line.shakeHands() == (.done, .done), "\(name)")
            #expect(line.server.session.shownGroup == group)
        }
        let strict = try Line(
            client: Loaded.client(), server: Loaded.server("other", isStrict: true), host: "elsewhere.test")
        #expect(strict.shakeHands() == (.failed(.alertUnrecognizedName), .failed(.unknownServerName)))
    }

    @Test("A session is resumed with its ticket, in both versions", arguments: [TLSVersion.tls12, .tls13])
    func resumption(_ version: TLSVersion) throws {
        let keys = TicketKeys()
        let client = try Loaded.client()
        let ticket = try #require(try firstTicket(client, Loaded.server("server", from: version, keys: keys)))
        // A new context, as after a reload of the certificates.
        let line = try Line(
            client: client, server: Loaded.server("server-renewed", from: version, keys: keys), resuming: ticket)
        #expect(line.shakeHands() == (.done, .done))
        #expect(line.client.session.isResumed)
        #expect(line.server.session.isResumed)
    }

    @Test("A ticket counts only where the same word on certificates counts, and only with its key")
    func foreignTickets() throws {
        let keys = TicketKeys()
        let client = try Loaded.client(identity: "client")
        func server(_ anchors: String?, keys: TicketKeys?) throws -> ServerContext {
            try Loaded.server(
                "server",
                authentication: anchors.map {
                    try ServerSettings.ClientAuthentication(isRequired: true, anchors: Loaded.anchors($0))
                }, keys: keys)
        }
        let ticket = try #require(try firstTicket(client, server("root", keys: keys)))
        let cases: [(String?, TicketKeys?, Bool)] = [
            ("root", keys, true), (nil, keys, false), ("intermediate", keys, false), ("root", TicketKeys(), false),
            ("root", nil, false),
        ]
        for (anchors, keys, isResumed) in cases {
            let line = try Line(client: client, server: server(anchors, keys: keys), resuming: ticket)
            #expect(line.shakeHands() == (.done, .done))
            #expect(line.server.session.isResumed == isResumed, "\(anchors ?? "none")")
        }
    }

    /// The ticket of a full handshake. That of TLS 1.3 comes after it.
    private func firstTicket(_ client: ClientContext, _ server: ServerContext) throws -> SessionTicket? {
        let line = try Line(client: client, server: server)
        #expect(line.shakeHands() == (.done, .done))
        line.server.say([1])
        line.run { !line.client.read.isEmpty }
        return line.client.session.takeTicket()
    }
}
