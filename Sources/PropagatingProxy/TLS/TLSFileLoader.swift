// SPDX-License-Identifier: Apache-2.0
import EventLoop
import SpanEmitter
import TLS

/// Makes contexts from the files a configuration names. Each file is read once, and each set of authorities parsed
/// once, in the life of a loader: a new look at the files takes a new loader.
final class TLSFileLoader {
    /// A larger file is refused.
    static let fileLimit = 1 << 20
    private static let warningSeconds: Int64 = 7 * 86_400

    private let nowSeconds: Int64
    private var contents: [String: Result<[UInt8], TextFile.Failure>] = [:]
    private var knownAnchors: [Configuration.AnchorFiles: Result<TrustAnchors, TLSFileError>] = [:]

    init(nowSeconds: Int64 = Int64(clamping: Clock.epochMicroseconds / 1_000_000)) {
        self.nowSeconds = nowSeconds
    }

    // MARK: Contexts

    /// A context, and the certificates it shows: the path and what is in it.
    struct Made<Context> {
        var context: Context
        var shown: [(path: String, facts: CertificateFacts)]
    }

    func server(
        _ tls: Configuration.ListenerTLS, _ protocols: [ApplicationProtocol], _ ticketKeys: TicketKeys?
    ) throws(TLSFileError) -> Made<ServerContext> {
        var identities: [Identity] = []
        var names = CertificateNames()
        for files in tls.certificates {
            let identity = try self.identity(files)
            if let name = names.add(identity.facts) {
                throw TLSFileError(
                    role: .certificate, path: files.certificate,
                    reason: "a second certificate for '\(name)' with a key of the same kind, expected different names")
            }
            identities.append(identity)
        }
        var authentication: ServerSettings.ClientAuthentication?
        if let callers = tls.callers {
            authentication = ServerSettings.ClientAuthentication(
                isRequired: callers.isRequired, anchors: try anchors(callers.anchors),
                allowedNames: callers.allowedNames)
        }
        let settings = ServerSettings(
            identities: identities, clientAuthentication: authentication, protocols: protocols,
            minimumVersion: tls.minimumVersion, ticketKeys: ticketKeys, refusesUnknownNames: tls.refusesUnknownNames)
        let context = try made { () throws(TLSError) in try ServerContext(settings) }
        return Made(context: context, shown: zip(tls.certificates, identities).map { ($0.certificate, $1.facts) })
    }

    func client(
        _ tls: Configuration.UpstreamTLS, _ protocols: [ApplicationProtocol]
    ) throws(TLSFileError) -> Made<ClientContext> {
        var shown: [(path: String, facts: CertificateFacts)] = []
        var own: Identity?
        if let files = tls.certificate {
            let identity = try self.identity(files)
            shown.append((files.certificate, identity.facts))
            own = identity
        }
        let settings = ClientSettings(
            anchors: tls.verifies ? try anchors(tls.anchors) : nil, verifies: tls.verifies, identity: own,
            protocols: protocols, minimumVersion: tls.minimumVersion, allowedNames: tls.allowedNames)
        let context = try made { () throws(TLSError) in try ClientContext(settings) }
        return Made(context: context, shown: shown)
    }

    func client(_ tls: ExporterTLS) throws(TLSFileError) -> Made<ClientContext> {
        try client(Configuration.UpstreamTLS(tls), [.http1])
    }

    private func made<Context>(_ make: () throws(TLSError) -> Context) throws(TLSFileError) -> Context {
        do throws(TLSError) {
            return try make()
        } catch {
            throw TLSFileError(role: .none, path: "", reason: error.text)
        }
    }

    // MARK: Parts

    func identity(_ files: Configuration.CertificateFiles) throws(TLSFileError) -> Identity {
        let chain = try bytes(files.certificate, .certificate)
        let key = try bytes(files.key, .key)
        let response = try files.ocspResponse.map { (path) throws(TLSFileError) in try bytes(path, .ocspResponse) }
        let identity: Identity
        do throws(TLSFileMistake) {
            identity = try Identity(chain: chain, key: key, ocspResponse: response)
        } catch {
            throw .identity(error, files)
        }
        if let mistake = dateMistake(identity.facts) {
            throw TLSFileError(role: .certificate, path: files.certificate, reason: mistake)
        }
        return identity
    }

    func anchors(_ files: Configuration.AnchorFiles) throws(TLSFileError) -> TrustAnchors {
        if let known = knownAnchors[files] { return try known.get() }
        let found: Result<TrustAnchors, TLSFileError>
        do throws(TLSFileError) {
            found = .success(try readAnchors(files))
        } catch {
            found = .failure(error)
        }
        knownAnchors[files] = found
        return try found.get()
    }

    private func readAnchors(_ files: Configuration.AnchorFiles) throws(TLSFileError) -> TrustAnchors {
        let pem = try files.anchors.map { (path) throws(TLSFileError) in try bytes(path, .anchors) }
        let lists = try files.revocations.map { (path) throws(TLSFileError) in try bytes(path, .revocations) }
        let found: TrustAnchors
        do throws(TLSFileMistake) {
            guard let pem else { return try TrustAnchors.system() }
            found = try TrustAnchors(pem: pem, crl: lists)
        } catch {
            throw .anchors(error, files)
        }
        if !found.facts.isEmpty, found.facts.allSatisfy({ $0.notAfter <= nowSeconds }) {
            throw TLSFileError(
                role: .anchors, path: files.anchors ?? "",
                reason: "every certificate in it has expired, expected one that is valid")
        }
        return found
    }

    // MARK: Dates

    private func dateMistake(_ facts: CertificateFacts) -> String? {
        if facts.notAfter <= nowSeconds {
            let end = LogLine.timeText(epochSeconds: facts.notAfter)
            return "the certificate has expired on \(end), expected one that is valid now"
        }
        guard facts.notBefore > nowSeconds else { return nil }
        let start = LogLine.timeText(epochSeconds: facts.notBefore)
        return "the certificate is not valid before \(start), expected one that is valid now"
    }

    /// That it ends soon; without the path.
    func warning(_ facts: CertificateFacts) -> String? {
        guard facts.notAfter - nowSeconds < Self.warningSeconds else { return nil }
        return "expires on \(LogLine.timeText(epochSeconds: facts.notAfter))"
    }

    // MARK: Files

    private func bytes(_ path: String, _ role: TLSFileError.Role) throws(TLSFileError) -> [UInt8] {
        do throws(TextFile.Failure) {
            return try content(path).get()
        } catch {
            throw .unreadable(role, path, error)
        }
    }

    private func content(_ path: String) -> Result<[UInt8], TextFile.Failure> {
        if let known = contents[path] { return known }
        let content: Result<[UInt8], TextFile.Failure>
        do throws(TextFile.Failure) {
            content = .success(try TextFile.read(path, limit: Self.fileLimit))
        } catch {
            content = .failure(error)
        }
        contents[path] = content
        return content
    }

    /// Of what the files hold now, to see whether that has changed. The same in one process only.
    func digest(_ paths: [String]) -> Int {
        var hasher = Hasher()
        for path in paths {
            switch content(path) {
            case .success(let bytes): hasher.combine(bytes)
            case .failure(let failure): hasher.combine(failure.reason)
            }
        }
        return hasher.finalize()
    }
}

extension Configuration.UpstreamTLS {
    init(_ tls: ExporterTLS) {
        var own: Configuration.CertificateFiles?
        if let certificate = tls.certificate, let key = tls.key {
            own = Configuration.CertificateFiles(certificate: certificate, key: key)
        }
        self.init(
            anchors: Configuration.AnchorFiles(anchors: tls.anchors), serverName: tls.serverName, allowedNames: [],
            certificate: own, minimumVersion: .tls12, verifies: tls.verifies, resumesSessions: true)
    }
}
