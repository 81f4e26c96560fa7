// SPDX-License-Identifier: Apache-2.0
import EventLoop
import HTTP2
import TLS

/// What runs.
public enum Version {
    public static let text = "0.1.0"

    /// For `--version`: ours, and those of the C libraries found at run time.
    public static var lines: [String] {
        [
            "propagating-proxy \(text)", "libevent \(EventLoop.libraryVersion)",
            "libnghttp2 \(HTTP2Session.libraryVersion)", "OpenSSL \(TLS.libraryVersion)",
            "libyaml \(YAMLLibrary.version)",
        ]
    }
}
