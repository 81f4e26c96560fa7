// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// Starts OpenSSL once. The host's `openssl.cnf` is not read: what this proxy speaks is what its own configuration says.
func prepareLibrary() { _ = isPrepared }

private let isPrepared: Bool =
    OPENSSL_init_ssl(UInt64(OPENSSL_INIT_NO_LOAD_CONFIG), nil) == 1

/// OpenSSL's version, as linked.
public var libraryVersion: String {
    guard let text = unsafe OpenSSL_version(OPENSSL_VERSION_STRING) else { return "?" }
    return unsafe String(cString: text)
}
