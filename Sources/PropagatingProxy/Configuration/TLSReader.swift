// SPDX-License-Identifier: Apache-2.0
import EventLoop
import SpanEmitter
import TLS

/// Reads the `tls` blocks of listeners, upstreams and exporters, and looks into the files they name.
struct TLSReader {
    let mistakes: Mistakes
    /// `nil`: what the files hold does not matter.
    let files: TLSFileLoader?

    private static let maximumCertificates = 256
    private static let versions: [(String, TLSVersion)] = [("1.2", .tls12), ("1.3", .tls13)]
    private static let fileExpected = "the path of a file"

    // MARK: Listeners

    /// - Returns: `nil` without the key.
    func listener(_ parent: MappingReader) -> Configuration.ListenerTLS? {
        let isGiven = parent.value("tls") != nil
        let reader = parent.mapping("tls")
        defer { reader.finish() }
        let certificates = certificates(reader, isGiven: isGiven)
        let tls = Configuration.ListenerTLS(
            certificates: certificates,
            minimumVersion: reader.choice("min_version", Self.versions) ?? .tls12,
            givesTickets: reader.flag("session_tickets", default: true),
            refusesUnknownNames: reader.choice("unknown_server_name", [("accept", false), ("reject", true)]) ?? false,
            callers: callers(reader))
        return isGiven ? tls : nil
    }

    private func certificates(_ reader: MappingReader, isGiven: Bool) -> [Configuration.CertificateFiles] {
        let expected = "a list of certificates with their keys"
        if isGiven, reader.value("certificates") == nil { reader.missing("certificates", expected) }
        let items = reader.list("certificates")
        if let node = reader.value("certificates"), case .sequence = node.content {
            if items.isEmpty { mistakes.add(node.origin, "'certificates' is empty, expected \(expected)") }
            if items.count > Self.maximumCertificates {
                mistakes.add(
                    node.origin, "\(items.count) certificates, expected at most \(Self.maximumCertificates)")
            }
        }
        var names = CertificateNames()
        return items.compactMap { item in
            let entry = MappingReader(item, "listeners[].tls.certificates[]", parent: item.origin, mistakes)
            defer { entry.finish() }
            for key in ["certificate", "key"] where entry.value(key) == nil { entry.missing(key, Self.fileExpected) }
            guard let (found, identity) = certificate(entry, ocspKey: "ocsp_response") else { return nil }
            if let name = identity.flatMap({ names.add($0.facts) }) {
                mistakes.add(
                    item.origin,
                    "a second certificate for '\(name)' with a key of the same kind, expected different names, or one"
                        + " RSA and one ECDSA key")
            }
            return found
        }
    }

    private func callers(_ parent: MappingReader) -> Configuration.CallerVerification? {
        let isGiven = parent.value("client_certificates") != nil
        let reader = parent.mapping("client_certificates")
        defer { reader.finish() }
        let anchors = path(reader, "ca")
        if isGiven, reader.value("ca") == nil {
            reader.missing("ca", "the path of a file with the authorities that callers' certificates are from")
        }
        let callers = Configuration.CallerVerification(
            isRequired: reader.choice("mode", [("require", true), ("optional", false)]) ?? true,
            anchors: Configuration.AnchorFiles(anchors: anchors?.text, revocations: path(reader, "crl")?.text),
            allowedNames: allowedNames(reader))
        guard isGiven, anchors != nil else { return nil }
        check(callers.anchors, reader)
        return callers
    }

    // MARK: Upstreams

    /// - Returns: `nil` without the key.
    func upstream(
        _ parent: MappingReader, name: String, endpoints: [Configuration.EndpointName]
    ) -> Configuration.UpstreamTLS? {
        let isGiven = parent.value("tls") != nil
        let reader = parent.mapping("tls")
        defer { reader.finish() }
        let tls = Configuration.UpstreamTLS(
            anchors: anchors(reader),
            serverName: serverName(reader),
            allowedNames: allowedNames(reader),
            certificate: ownCertificate(reader),
            minimumVersion: reader.choice("min_version", Self.versions) ?? .tls12,
            verifies: verifies(reader, "the upstream '\(name)'"),
            resumesSessions: reader.flag("session_resumption", default: true))
        guard isGiven else { return nil }
        let isNameless = endpoints.contains { if case .unix = $0 { true } else { false } }
        if isNameless, tls.verifies, tls.serverName == nil, tls.allowedNames.isEmpty {
            reader.missing("server_name", "the name a unix socket's certificate is for")
        }
        return tls
    }

    // MARK: Exporters

    /// - Parameter isSecure: whether the endpoint is https; `nil` if it is wrong.
    func exporter(_ parent: MappingReader, name: String, isSecure: Bool?) -> ExporterTLS? {
        let node = parent.value("tls")
        let reader = parent.mapping("tls")
        defer { reader.finish() }
        if let node, isSecure == false {
            mistakes.add(node.origin, "'tls' goes with an https endpoint, expected https://host:port/path or no 'tls'")
        }
        let anchors = anchors(reader, hasRevocations: false)
        let own = ownCertificate(reader)
        let tls = ExporterTLS(
            anchors: anchors.anchors, serverName: serverName(reader), certificate: own?.certificate, key: own?.key,
            verifies: verifies(reader, "the collector '\(name)'"))
        return isSecure == true ? tls : nil
    }

    // MARK: Parts

    private func anchors(_ reader: MappingReader, hasRevocations: Bool = true) -> Configuration.AnchorFiles {
        let anchors = path(reader, "ca")
        let revocations = hasRevocations ? path(reader, "crl") : nil
        let found = Configuration.AnchorFiles(anchors: anchors?.text, revocations: revocations?.text)
        if let revocations, anchors == nil, reader.value("ca") == nil {
            mistakes.add(revocations.origin, "'crl' without 'ca', expected both: the system's store takes no list")
        } else if found.anchors != nil {
            check(found, reader)
        }
        return found
    }

    /// The certificate we show a peer that asks for one.
    private func ownCertificate(_ reader: MappingReader) -> Configuration.CertificateFiles? {
        let pair = ["certificate", "key"]
        for (key, other) in zip(pair, pair.reversed()) where reader.value(key) != nil && reader.value(other) == nil {
            reader.missing(other, "the path of the file that belongs to the '\(key)'")
        }
        return certificate(reader, ocspKey: nil)?.files
    }

    private func verifies(_ reader: MappingReader, _ peer: String) -> Bool {
        let skips = reader.flag("insecure_skip_verify", default: false)
        if skips, let node = reader.value("insecure_skip_verify") {
            mistakes.warn(
                node.origin,
                "\(peer) is not verified (insecure_skip_verify): whoever is on the way there can read and change all")
        }
        return !skips
    }

    private func serverName(_ reader: MappingReader) -> String? {
        reader.converted("server_name", "a host name or an IP address") { text in
            AddressNotation.isHostName(text) || SocketAddress(literal: text, port: 0) != nil ? text : nil
        }
    }

    private func allowedNames(_ reader: MappingReader) -> [String] {
        let key = "allowed_names"
        let expected = "a DNS name, or a URI such as spiffe://mesh.example/ns/a/sa/b or spiffe://mesh.example/ns/a/*"
        if let node = reader.value(key), case .sequence(let items) = node.content, items.isEmpty {
            mistakes.add(node.origin, "'\(key)' is empty, expected \(expected), or no '\(key)'")
        }
        return reader.list(key).compactMap { item in
            guard let (text, origin) = reader.text(item, key, expected) else { return nil }
            if Self.isAllowedName(text) { return text }
            mistakes.add(origin, "'\(text)' is no name a certificate may have, expected \(expected)")
            return nil
        }
    }

    /// A star that stands for the rest of a name would let in `mesh.example.evil` for `mesh.example*`.
    private static func isAllowedName(_ text: String) -> Bool {
        guard let scheme = text.firstRange(of: "://") else { return AddressNotation.isHostName(text) }
        let rest = text[scheme.upperBound...]
        let fixed = rest.hasSuffix("/*") ? rest.dropLast() : rest
        let host = rest.prefix { $0 != "/" }
        return scheme.lowerBound > text.startIndex && !host.isEmpty && host != "*" && !fixed.contains("*")
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } && text.utf8.count <= 2048
    }

    // MARK: Files

    private func path(_ reader: MappingReader, _ key: String) -> (text: String, origin: Origin)? {
        reader.text(key, Self.fileExpected)
    }

    /// - Returns: `nil` unless certificate and key are both given; no identity after a mistake in the files.
    private func certificate(
        _ reader: MappingReader, ocspKey: String?
    ) -> (files: Configuration.CertificateFiles, identity: Identity?)? {
        let chain = path(reader, "certificate")
        let key = path(reader, "key")
        let response = ocspKey.flatMap { path(reader, $0) }
        guard let chain, let key else { return nil }
        let found = Configuration.CertificateFiles(
            certificate: chain.text, key: key.text, ocspResponse: response?.text)
        guard let files else { return (found, nil) }
        do throws(TLSFileError) {
            let identity = try files.identity(found)
            if let warning = files.warning(identity.facts) {
                mistakes.warn(chain.origin, "'\(chain.text)' \(warning)")
            }
            return (found, identity)
        } catch {
            tell(error, reader)
            return (found, nil)
        }
    }

    private func check(_ anchors: Configuration.AnchorFiles, _ reader: MappingReader) {
        do throws(TLSFileError) {
            _ = try files?.anchors(anchors)
        } catch {
            tell(error, reader)
        }
    }

    private func tell(_ error: TLSFileError, _ reader: MappingReader) {
        let key = error.role.rawValue
        mistakes.add(
            reader.value(key)?.origin ?? reader.origin, "'\(key)' is '\(error.path)': \(error.reason)")
    }
}
