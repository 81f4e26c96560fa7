// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Where the log goes.
public enum StandardError {
    /// Writes everything, however long the reader takes: for a thread that may block. A reader
    /// that has gone is not an error.
    public static func write(_ bytes: Span<UInt8>) { write(bytes, to: STDERR_FILENO) }

    static func write(_ bytes: Span<UInt8>, to descriptor: CInt) {
        unsafe bytes.withUnsafeBufferPointer { bytes in
            var written = 0
            while written < bytes.count, let base = bytes.baseAddress {
                let count = unsafe Glibc.write(descriptor, base + written, bytes.count - written)
                if count >= 0 {
                    written += count
                } else if errno == EAGAIN {
                    // Whoever shares the open file with us has made it non-blocking.
                    var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = unsafe poll(&entry, 1, 1000)
                } else if errno != EINTR {
                    return
                }
            }
        }
    }
}
