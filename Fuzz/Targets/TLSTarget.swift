// SPDX-License-Identifier: Apache-2.0
import EventLoop
import TLS

/// Two ends of a TLS connection and a network between them, or one end and a stranger: whatever the network does to the
/// bytes, it neither traps nor leaks; what arrives is the beginning of what was sent, all of it if nothing was changed,
/// and an end is taken for the sender's word only if it is.
///
/// Input: a byte that chooses what the network does and who speaks, then how many bytes it brings at a time and what it
/// changes; or, for a stranger, what is said.
final class TLSTarget: FuzzTarget {
    private let loop: EventLoop
    private let pool = BufferPool(limit: 64)
    private let server: ServerContext
    private let client: ClientContext

    init() throws {
        loop = try EventLoop()
        let identity = try Identity(chain: Array(Self.certificate.utf8), key: Array(Self.key.utf8))
        server = try ServerContext(ServerSettings(identities: [identity], ticketKeys: TicketKeys()))
        client = try ClientContext(ClientSettings(anchors: TrustAnchors(pem: Array(Self.certificate.utf8))))
    }

    func check(_ input: [UInt8]) throws(BrokenLaw) {
        guard let choice = input.first else { return }
        if choice & 3 == 3 {
            try hear(input.dropFirst(), asServer: choice & 4 == 0)
        } else {
            try talk(Feed(Array(input.dropFirst())), choice)
        }
        try hold(pool.inUse == 0, "\(pool.inUse) buffers are left")
    }

    /// A stranger's bytes.
    private func hear(_ bytes: ArraySlice<UInt8>, asServer: Bool) throws(BrokenLaw) {
        let network = Network()
        let session = asServer ? server.session(buffers: pool) : client.session(host: "fuzz.test", buffers: pool)
        guard let session else { throw BrokenLaw(law: "no session") }
        let end = TLSEnd(network.takeFirst(), session, pool: pool, on: loop)
        defer { end.close() }
        end.goOn()
        network.say(bytes)
        for _ in 0..<(bytes.count / 1000 + 4) { loop.runOnce() }
        try hold(end.progress != .done, "a stranger is a friend")
        try hold(end.read.isEmpty, "bytes from nowhere")
    }

    /// Both ends speak, over a network that follows the input.
    private func talk(_ given: Feed, _ choice: UInt8) throws(BrokenLaw) {
        var feed = given
        let network = Network(isSmall: choice & 8 != 0)
        guard let asking = client.session(host: "fuzz.test", buffers: pool),
            let answering = server.session(buffers: pool)
        else { throw BrokenLaw(law: "no session") }
        let one = TLSEnd(network.takeFirst(), asking, pool: pool, on: loop)
        let other = TLSEnd(network.takeSecond(), answering, pool: pool, on: loop)
        defer {
            one.close()
            other.close()
        }
        one.closesWhenSent = choice & 16 != 0
        one.say(Self.pattern(Int(feed.number(UInt16.self)) & 0x7FFF))
        other.say(Self.pattern(Int(feed.number(UInt16.self)) >> 2))
        one.goOn()
        network.isHonest = choice & 3 != 2
        while !feed.isEmpty {
            loop.runOnce()
            network.carry(&feed)
        }
        var quiet = 0
        while quiet < 4 {
            loop.runOnce()
            quiet = network.carryAll() ? 0 : quiet + 1
        }
        try judge(one, other, network)
        try judge(other, one, network)
    }

    private func judge(_ reader: TLSEnd, _ writer: TLSEnd, _ network: Network) throws(BrokenLaw) {
        try hold(writer.said.starts(with: reader.read), "what arrives is not what was sent")
        if reader.end == .endOfStream {
            try hold(reader.read.count == writer.said.count && writer.hasClosed, "a cut message passes for a whole one")
        }
        guard !network.hasMeddled else { return }
        try hold(reader.progress == .done, "no handshake: \(reader.progress)")
        // Who closes reads no further.
        guard !reader.hasClosed else { return }
        try hold(reader.read.count == writer.said.count, "\(reader.read.count) of \(writer.said.count) bytes arrive")
        try hold(!writer.hasClosed || reader.end == .endOfStream, "the end is not told")
    }

    private static func pattern(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    }

    private static let certificate = """
        -----BEGIN CERTIFICATE-----
        MIIBlDCCATugAwIBAgIUD6U/V5K3oeCjKoezxzt6zMN1KKQwCgYIKoZIzj0EAwIw
        FDESMBAGA1UEAwwJZnV6ei50ZXN0MCAXDTI2MTEyMTE5NTQ1NloYDzIxMjYxMDI4
        MTk1NDU2WjAUMRIwEAYDVQQDDAlmdXp6LnRlc3QwWTATBgcqhkjOPQIBBggqhkjO
        PQMBBwNCAAT1E8rsfGE4MNEJUnv8IgB0/+1M2+Jc0yaQdCFDc8B2j3CpF8MWNdOd
        5zdVUGaGGfy0WknKnPz4IfQ1aSK3QQK5o2kwZzAdBgNVHQ4EFgQUHeMImqhQ/gOv
        QN0fEvoj5oBleSswHwYDVR0jBBgwFoAUHeMImqhQ/gOvQN0fEvoj5oBleSswDwYD
        VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglmdXp6LnRlc3QwCgYIKoZIzj0EAwID
        RwAwRAIgDrar6r39zZ2CEsp6u98X9Si21CfFfcRHhQeftskJY4ACIGQMoqdAajL1
        wzOn+3gSsfP4Z1dhSU8bXngd4kZ8NOAS
        -----END CERTIFICATE-----

        """
    private static let key = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDr9tuVmAu9qK7ObQ
        OGydMwfYdLV4NbVIE3eZ2d2YMh+hRANCAAT1E8rsfGE4MNEJUnv8IgB0/+1M2+Jc
        0yaQdCFDc8B2j3CpF8MWNdOd5zdVUGaGGfy0WknKnPz4IfQ1aSK3QQK5
        -----END PRIVATE KEY-----

        """
}
