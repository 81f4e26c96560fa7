// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Testing

@Suite("Host and authority (RFC 3986 §3.2)")
struct AuthorityTests {
    @Test(
        "A host that is one is accepted",
        arguments: [
            "a", "a.test", "A_b~c", "a.test:1", "a.test:65535", "1.2.3.4:80", "xn--bcher-kva.example", "a%20b",
            "[::]", "[::1]:8080", "[1:2:3:4:5:6:7:8]", "[1::8]", "[::ffff:1.2.3.4]", "[1:2:3:4:5:6:1.2.3.4]",
            "[fe80::]",
        ])
    func accepts(_ host: String) {
        let isAccepted = isHost(bytes(host).span)
        #expect(isAccepted)
    }

    @Test(
        "Anything else is refused",
        arguments: [
            "", ":80", "a:", "a:0", "a:65536", "a:8x", "a:-1", "a:000080", "u@a", "a,b", "a b", "a/b", "a?b", "a#b",
            "a\\b", "é", "a%2", "a%zz", "[::1", "::1", "[]", "[:]", "[:::]", "[1::2::3]", "[1:2:3:4:5:6:7]",
            "[1:2:3:4:5:6:7:8:9]", "[1:2:3:4:5:6:7:8::]", "[12345::]", "[1:]", "[:1]", "[g::]", "[::1]x", "[::1]:",
            "[::256.1.1.1]", "[::1.2.3]", "[::1.2.3.4.5]", "[::01.2.3.4]", "[1:2:3:4:5:6:7:1.2.3.4]", "[::1%25eth0]",
            "[v1.a]", "[::1.2.3.4:1]", String(repeating: "a", count: 256),
        ])
    func refuses(_ host: String) {
        let isAccepted = isHost(bytes(host).span)
        #expect(!isAccepted)
    }
}
