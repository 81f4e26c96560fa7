// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// Lends OpenSSL bytes to read as a file.
func withMemory<Result>(_ bytes: [UInt8], _ read: (OpaquePointer) -> Result) -> Result? {
    unsafe bytes.withUnsafeBytes { raw -> Result? in
        guard let memory = unsafe BIO_new_mem_buf(raw.baseAddress, CInt(clamping: raw.count)) else { return nil }
        defer { unsafe BIO_free_all(memory) }
        return unsafe read(memory)
    }
}

/// An `X509 *` with one owner.
@safe
final class Certificate {
    let pointer: OpaquePointer

    init(owning pointer: OpaquePointer) { unsafe self.pointer = pointer }

    deinit { unsafe X509_free(pointer) }
}

/// The certificates of a PEM file in order. Text around them is passed over.
func readCertificates(_ pem: [UInt8]) throws(TLSFileMistake) -> [Certificate] {
    var found: [Certificate] = []
    ERR_clear_error()
    _ = unsafe withMemory(pem) { memory in
        while let certificate = unsafe PEM_read_bio_X509(memory, nil, refusePassphrase, nil) {
            found.append(unsafe Certificate(owning: certificate))
        }
    }
    // The end of the file is told as the lack of another beginning.
    let error = ERR_peek_last_error()
    if error == 0 || openssl_error_reason(error) == PEM_R_NO_START_LINE {
        ERR_clear_error()
        return found
    }
    throw .malformedCertificate(lastReason())
}

/// Nobody is there to be asked.
func refusePassphrase(_: UnsafeMutablePointer<CChar>?, _: CInt, _: CInt, _: UnsafeMutableRawPointer?) -> CInt { -1 }
