// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Reads the small text files of `/etc`.
enum SmallFile {
    /// A hosts file may be long; what lies behind this is not read.
    private static let limit = 1 << 20

    /// The file's text, or `nil` if it cannot be read. Bytes that are not UTF-8 are replaced.
    static func text(_ path: String) -> String? {
        let number = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        let descriptor = Descriptor(owning: number)
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < limit {
            let count = unsafe piece.withUnsafeMutableBytes { room in
                unsafe read(descriptor.rawValue, room.baseAddress, room.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += piece.prefix(count)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
