// SPDX-License-Identifier: Apache-2.0
import COpenSSL

// MARK: Ciphertext

/// Where OpenSSL reads and writes ciphertext: the buffers lent to the call that runs.
let ciphertextMethod: Kept = {
    prepareLibrary()
    guard let method = unsafe BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ciphertext") else {
        return unsafe Kept(nil)
    }
    unsafe BIO_meth_set_read_ex(method, ciphertextWanted)
    unsafe BIO_meth_set_write_ex(method, ciphertextMade)
    unsafe BIO_meth_set_ctrl(method, ciphertextControl)
    return unsafe Kept(method)
}()

/// What OpenSSL made once for the whole process; it does not change.
@safe
struct Kept: @unchecked Sendable {
    let pointer: OpaquePointer?

    init(_ pointer: OpaquePointer?) { unsafe self.pointer = pointer }
}

private func state(ofBIO bio: OpaquePointer?) -> UnsafeMutablePointer<SessionState>? {
    unsafe BIO_get_data(bio)?.assumingMemoryBound(to: SessionState.self)
}

private func state(of ssl: OpaquePointer?) -> UnsafeMutablePointer<SessionState>? {
    unsafe SSL_get_ex_data(ssl, 0)?.assumingMemoryBound(to: SessionState.self)
}

private func ciphertextWanted(
    _ bio: OpaquePointer?, _ target: UnsafeMutablePointer<CChar>?, _ count: Int, _ taken: UnsafeMutablePointer<Int>?
) -> CInt {
    unsafe BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY)
    guard let state = unsafe state(ofBIO: bio), let target = unsafe target else { return 0 }
    let given = unsafe min(count, state.pointee.inputCount)
    guard given > 0, let source = unsafe state.pointee.input else {
        unsafe BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
        return 0
    }
    unsafe UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: given)
    unsafe state.pointee.input = source + given
    unsafe state.pointee.inputCount -= given
    unsafe taken?.pointee = given
    return 1
}

private func ciphertextMade(
    _ bio: OpaquePointer?, _ source: UnsafePointer<CChar>?, _ count: Int, _ taken: UnsafeMutablePointer<Int>?
) -> CInt {
    unsafe BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY)
    guard let state = unsafe state(ofBIO: bio), let source = unsafe source else { return 0 }
    let room = unsafe state.pointee.outputRoom - state.pointee.outputCount
    let given = min(count, room)
    guard given > 0, let target = unsafe state.pointee.output else {
        unsafe BIO_set_flags(bio, BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY)
        return 0
    }
    unsafe UnsafeMutableRawPointer(target + state.pointee.outputCount).copyMemory(from: source, byteCount: given)
    unsafe state.pointee.outputCount += given
    unsafe taken?.pointee = given
    return 1
}

private func ciphertextControl(_: OpaquePointer?, _ command: CInt, _: Int, _: UnsafeMutableRawPointer?) -> Int {
    command == BIO_CTRL_FLUSH ? 1 : 0
}

// MARK: Server

/// A whole ClientHello has come.
func helloCame(_ ssl: OpaquePointer?, _: UnsafeMutablePointer<CInt>?, _: UnsafeMutableRawPointer?) -> CInt {
    unsafe state(of: ssl)?.pointee.helloSeen = true
    return CInt(SSL_CLIENT_HELLO_SUCCESS)
}

/// The ClientHello's server name was read, or found missing (RFC 6066 §3).
func serverNameAsked(
    _ ssl: OpaquePointer?, _ alert: UnsafeMutablePointer<CInt>?, _: UnsafeMutableRawPointer?
) -> CInt {
    guard let state = unsafe state(of: ssl), let server = unsafe state.pointee.server else {
        return SSL_TLSEXT_ERR_NOACK
    }
    return unsafe server._withUnsafeGuaranteedRef { context in
        let name = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)
        guard let name = unsafe name, let group = unsafe context.group(for: String(cString: name)) else {
            guard context.refusesUnknownNames else { return SSL_TLSEXT_ERR_NOACK }
            unsafe state.pointee.verdict = .unknownServerName
            unsafe alert?.pointee = SSL_AD_UNRECOGNIZED_NAME
            return SSL_TLSEXT_ERR_ALERT_FATAL
        }
        unsafe state.pointee.group = group
        if let chosen = unsafe context.library(ofGroup: group) { _ = unsafe SSL_set_SSL_CTX(ssl, chosen) }
        return SSL_TLSEXT_ERR_OK
    }
}

/// The peer has offered application protocols (RFC 7301 §3.2).
func protocolAsked(
    _ ssl: OpaquePointer?, _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ chosenCount: UnsafeMutablePointer<UInt8>?, _ offered: UnsafePointer<UInt8>?, _ offeredCount: UInt32,
    _: UnsafeMutableRawPointer?
) -> CInt {
    guard let state = unsafe state(of: ssl), let server = unsafe state.pointee.server else {
        return SSL_TLSEXT_ERR_NOACK
    }
    return unsafe server._withUnsafeGuaranteedRef { context in
        var found: UnsafeMutablePointer<UInt8>?
        var count: UInt8 = 0
        let ours = unsafe context.protocolList
        let status = unsafe SSL_select_next_proto(
            &found, &count, ours.baseAddress, UInt32(ours.count), offered, offeredCount)
        guard status == OPENSSL_NPN_NEGOTIATED else {
            unsafe state.pointee.verdict = .noALPN
            return SSL_TLSEXT_ERR_ALERT_FATAL
        }
        unsafe chosen?.pointee = UnsafePointer(found)
        unsafe chosenCount?.pointee = count
        return SSL_TLSEXT_ERR_OK
    }
}

/// The peer asks for the state of our certificate.
func stapleAsked(_ ssl: OpaquePointer?, _: UnsafeMutableRawPointer?) -> CInt {
    guard let state = unsafe state(of: ssl), let server = unsafe state.pointee.server else {
        return SSL_TLSEXT_ERR_NOACK
    }
    return unsafe server._withUnsafeGuaranteedRef { context in
        guard let shown = unsafe SSL_get_certificate(ssl), let response = unsafe context.ocspResponse(for: shown),
            let copy = unsafe response.withUnsafeBytes({ unsafe openssl_copy($0.baseAddress, $0.count) })
        else { return SSL_TLSEXT_ERR_NOACK }
        unsafe openssl_staple(ssl, copy.assumingMemoryBound(to: UInt8.self), response.count)
        return SSL_TLSEXT_ERR_OK
    }
}

/// A session ticket is to be sealed, or has come back.
func ticketKeyWanted(
    _ ssl: OpaquePointer?, _ name: UnsafeMutablePointer<UInt8>?, _ start: UnsafeMutablePointer<UInt8>?,
    _ cipher: OpaquePointer?, _ mac: OpaquePointer?, _ isSealing: CInt
) -> CInt {
    guard let state = unsafe state(of: ssl), let server = unsafe state.pointee.server, let name = unsafe name else {
        return -1
    }
    return unsafe server._withUnsafeGuaranteedRef { context in
        guard let keys = context.ticketKeys else { return isSealing == 1 ? -1 : 0 }
        if isSealing == 1 {
            guard let key = keys.newest(), unsafe RAND_bytes(start, 16) == 1 else { return -1 }
            for (index, byte) in key.name.enumerated() { unsafe name[index] = byte }
            guard unsafe EVP_EncryptInit_ex(cipher, ticketCipher.pointer, nil, key.cipherKey, start) == 1 else {
                return -1
            }
            return unsafe openssl_set_mac_key(mac, key.macKey, key.macKey.count) == 1 ? 1 : -1
        }
        let wanted = unsafe Array(UnsafeBufferPointer(start: name, count: TicketKeys.Key.nameCount))
        guard let (key, isNewest) = keys.find(wanted) else { return 0 }
        guard unsafe EVP_DecryptInit_ex(cipher, ticketCipher.pointer, nil, key.cipherKey, start) == 1,
            unsafe openssl_set_mac_key(mac, key.macKey, key.macKey.count) == 1
        else { return -1 }
        // A ticket of TLS 1.3 should be used once (RFC 8446 §C.4): with 2 another one is sent.
        return unsafe isNewest && SSL_version(ssl) != TLS1_3_VERSION ? 1 : 2
    }
}

private let ticketCipher = unsafe Kept(EVP_CIPHER_fetch(nil, "AES-256-CBC", nil))

// MARK: Both sides

/// OpenSSL has judged one certificate of the peer's chain; the leaf's names are ours to judge.
func certificateJudged(_ isGood: CInt, _ store: OpaquePointer?) -> CInt {
    guard isGood == 1, unsafe X509_STORE_CTX_get_error_depth(store) == 0 else { return isGood }
    let index = SSL_get_ex_data_X509_STORE_CTX_idx()
    guard let ssl = unsafe OpaquePointer(X509_STORE_CTX_get_ex_data(store, index)),
        let state = unsafe state(of: ssl), let certificate = unsafe X509_STORE_CTX_get_current_cert(store)
    else { return 0 }
    let allowed =
        unsafe state.pointee.server?._withUnsafeGuaranteedRef { $0.allowedNames }
        ?? state.pointee.client?._withUnsafeGuaranteedRef { $0.allowedNames } ?? []
    guard !allowed.isEmpty, unsafe !CertificateFacts(certificate).hasName(among: allowed) else { return 1 }
    unsafe state.pointee.verdict = .nameNotAllowed
    unsafe X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION)
    return 0
}

/// The peer has sent a session ticket, which is ours from here.
func ticketCame(_ ssl: OpaquePointer?, _ session: OpaquePointer?) -> CInt {
    guard let state = unsafe state(of: ssl) else { return 0 }
    if let old = unsafe state.pointee.ticket { unsafe SSL_SESSION_free(old) }
    unsafe state.pointee.ticket = session
    return 1
}
