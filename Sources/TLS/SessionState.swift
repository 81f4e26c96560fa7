// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// What OpenSSL's callbacks see of a session: the bytes lent to the call that runs, and what they noted.
@safe
struct SessionState {
    /// Ciphertext that has come: the rest of what is lent.
    var input: UnsafePointer<UInt8>?
    var inputCount = 0
    /// Room for ciphertext to send.
    var output: UnsafeMutablePointer<UInt8>?
    var outputRoom = 0
    var outputCount = 0

    /// A whole ClientHello was read.
    var helloSeen = false
    /// Of ``ServerContext``.
    var group = 0
    /// Why we refuse the peer's certificate.
    var verdict: TLSFailure?
    /// `SSL_SESSION *`, the newest the peer has sent; owned.
    var ticket: OpaquePointer?

    /// One of the two; the session keeps it.
    let server: Unmanaged<ServerContext>?
    let client: Unmanaged<ClientContext>?
}
