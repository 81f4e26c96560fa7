// SPDX-License-Identifier: Apache-2.0
import TLS

/// What one listener, upstream or exporter makes its context from, and what was found there last.
final class TLSUse {
    enum Kind: String, CaseIterable, Sendable { case listener, upstream, exporter }

    enum Outcome: Equatable {
        case unchanged
        /// New handshakes use what the files hold now.
        case loaded
        /// What was in use stays so; the reason is in ``TLSUse/failure``.
        case failed
    }

    typealias Shown = [(path: String, facts: CertificateFacts)]

    let kind: Kind
    /// Of the listener, upstream or exporter.
    let name: String
    /// Of all files.
    let paths: [String]
    /// Whether peers are verified by authorities whose files are not known.
    let usesSystemStore: Bool
    /// The certificates in use.
    private(set) var shown: Shown
    /// `nil` after a success.
    private(set) var failure: TLSFileError?
    /// Whether the failure is another than the one told last.
    private(set) var isFailureNews = false
    /// Of the files when they were last read, with success or not.
    private var digest: Int
    private let load: (TLSFileLoader) throws(TLSFileError) -> Shown

    /// - Parameters:
    ///   - loader: what the context in use was made with.
    ///   - load: makes another context and publishes it.
    init(
        _ kind: Kind, _ name: String, paths: [String], usesSystemStore: Bool = false, shown: Shown,
        loader: TLSFileLoader, load: @escaping (TLSFileLoader) throws(TLSFileError) -> Shown
    ) {
        self.kind = kind
        self.name = name
        self.paths = paths
        self.usesSystemStore = usesSystemStore
        self.shown = shown
        self.load = load
        digest = loader.digest(paths)
    }

    /// Publishes what the files hold, if that is good and new. A failure is tried again each time: dates pass.
    ///
    /// - Parameter force: even if nothing has changed.
    func reload(_ loader: TLSFileLoader, force: Bool = false) -> Outcome {
        let found = loader.digest(paths)
        guard found != digest || failure != nil || force else { return .unchanged }
        do throws(TLSFileError) {
            shown = try load(loader)
            (failure, isFailureNews) = (nil, false)
        } catch {
            isFailureNews = isFailureNews || found != digest || error != failure
            failure = error
        }
        digest = found
        return failure == nil ? .loaded : .failed
    }

    func failureTold() { isFailureNews = false }
}
