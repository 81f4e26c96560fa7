// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Reads configuration files and the files secrets are kept in.
enum TextFile {
    /// A larger configuration is refused.
    static let configurationLimit = 1 << 20
    /// A larger secret is refused.
    static let secretLimit = 1 << 16

    struct Failure: Error {
        var reason: String
    }

    static func read(_ path: String, limit: Int) throws(Failure) -> [UInt8] {
        // Non-blocking, so that a FIFO without a writer cannot hold up the start.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Failure(reason: errorText()) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16_384)
        while bytes.count <= limit {
            let count = unsafe piece.withUnsafeMutableBytes { room in
                unsafe Glibc.read(descriptor, room.baseAddress, room.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Failure(reason: errorText()) }
            guard count > 0 else { return bytes }
            bytes += piece.prefix(count)
        }
        throw Failure(reason: "larger than \(limit) bytes")
    }

    private static func errorText() -> String {
        unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "cannot be read"
    }
}
