// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Testing

@testable import PropagatingProxy

@Suite("Lists of X-Forwarded-For and Via")
struct ForwardedListTests {
    private func dropping(_ count: Int, _ text: String) -> String {
        let bytes = Array(text.utf8)
        let rest = ForwardedList.dropping(count, from: bytes.span)
        return String(decoding: rest.indices.map { rest[$0] }, as: UTF8.self)
    }

    @Test("The oldest entries are cut, blanks around the rest with them")
    func drop() {
        #expect(dropping(0, "a, b") == "a, b")
        #expect(dropping(1, "a, b ,c") == "b ,c")
        #expect(dropping(2, "a, b ,\tc ") == "c")
        #expect(dropping(3, "a,b,c") == "")
        #expect(dropping(9, "a,,") == "")
        #expect(ForwardedList.entryCount(Array("a,b, c".utf8).span) == 3)
        #expect(ForwardedList.entryCount(Array("a".utf8).span) == 1)
    }

    @Test("A caller's own address is counted as a whole entry")
    func peer() throws {
        func count(_ address: SocketAddress?, _ list: String) -> Int {
            HopCount.count(of: IPText(address ?? SocketAddress()), inForwardedFor: Array(list.utf8).span)
        }
        let peer = try #require(SocketAddress(literal: "10.0.0.1", port: 1))
        #expect(count(peer, "10.0.0.1, 10.0.0.11 ,10.0.0.1,,1,\t10.0.0.1 ") == 3)
        #expect(count(peer, "") == 0)
        #expect(count(nil, "unknown, 10.0.0.1, Unknown,") == 2)
    }

    @Test("Ten of this proxy's names in Via are a loop, nine are not, and no other name counts")
    func via() {
        func loops(_ names: [String]) -> Bool { HopCount.loops(via: Array(names.joined(separator: ", ").utf8).span) }
        let own = "1.1 propagating-proxy"
        #expect(loops([String](repeating: own, count: 10)))
        #expect(!loops([String](repeating: own, count: 9) + ["1.1 other", "propagating-proxy", "1.1 propagating"]))
        #expect(!loops([]))
    }
}
