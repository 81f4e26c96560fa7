#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Callers and upstreams that misbehave at random, beside some that behave; afterwards nothing may be left over.

Those that behave must get their own answers. Afterwards: no connection, no buffer and no more descriptors than before,
memory as it was, and every span accounted for. The seed is printed; `--seed` repeats the choices (not their timing).
"""

import os
import random
import socket
import struct
import threading
import time

import lab
import load
import spans

SOCKET_ERRORS = (OSError, EOFError, ValueError)


def reset(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def read_head(peer, text=b""):
    while b"\r\n\r\n" not in text:
        part = peer.recv(65536)
        if not part:
            raise EOFError
        text += part
    head, _, rest = text.partition(b"\r\n\r\n")
    return head.lower(), rest


def read_body(peer, head, rest):
    """With Content-Length or chunks; answers the body and what lies behind it."""
    if b"transfer-encoding: chunked" in head:
        body = b""
        while True:
            while b"\r\n" not in rest:
                rest += must(peer.recv(65536))
            line, _, rest = rest.partition(b"\r\n")
            size = int(line, 16)
            if not size:
                while b"\r\n\r\n" not in b"\r\n" + rest:
                    rest += must(peer.recv(65536))
                return body, (b"\r\n" + rest).partition(b"\r\n\r\n")[2]
            while len(rest) < size + 2:
                rest += must(peer.recv(65536))
            body, rest = body + rest[:size], rest[size + 2:]
    length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
    while len(rest) < length:
        rest += must(peer.recv(65536))
    return rest[:length], rest[length:]


def must(part):
    if not part:
        raise EOFError
    return part


class Upstream:
    """`x-do` of a request says how it is answered."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address = self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            peer, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        peer.settimeout(20)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        rest = b""
        try:
            while True:
                head, rest = read_head(peer, rest)
                what = head.partition(b"x-do: ")[2].split(b"\r\n")[0].decode() or "echo"
                identity = head.partition(b"x-id: ")[2].split(b"\r\n")[0]
                if head.startswith(b"head ") and what not in ("nothing", "garbage"):
                    what = "bodiless"
                rest = getattr(self, what)(peer, head, identity, rest)
                if rest is None:
                    return
        except SOCKET_ERRORS:
            pass
        finally:
            peer.close()

    def echo(self, peer, head, identity, rest):
        body, rest = read_body(peer, head, rest)
        body = identity + b" " + body
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        return rest

    def bodiless(self, peer, head, identity, rest):
        # A body behind a response to HEAD could reach the proxy after the connection went back to its pool.
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n")

    def chunks(self, peer, head, identity, rest):
        body, rest = read_body(peer, head, rest)
        body = identity + b" " + body
        peer.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 999):
            part = body[start:start + 999]
            peer.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        peer.sendall(b"0\r\nX-Trailer: 1\r\n\r\n")
        return rest

    def close(self, peer, head, identity, rest):
        body, _ = read_body(peer, head, rest)
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + identity + b" " + body)

    def early(self, peer, head, identity, rest):
        peer.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        time.sleep(random.random() / 50)

    def nothing(self, peer, head, identity, rest):
        time.sleep(random.random() / 20)

    def gone(self, peer, head, identity, rest):
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(random.randrange(99_999)))
        reset(peer)

    def cut(self, peer, head, identity, rest):
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n" + bytes(random.randrange(70_000)))

    def garbage(self, peer, head, identity, rest):
        peer.sendall(random.randbytes(random.randrange(1, 2000)))
        time.sleep(0.01)

    def flood(self, peer, head, identity, rest):
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n")
        for _ in range(30):
            peer.sendall(bytes(100_000))
        return rest

    def more(self, peer, head, identity, rest):
        """Bytes behind the response that nobody asked for."""
        body, rest = read_body(peer, head, rest)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        return rest

    def upgrade(self, peer, head, identity, rest):
        peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        choice = random.randrange(5)
        if choice == 0:
            return None
        if choice == 1:
            reset(peer)
            return None
        if choice == 2:
            peer.shutdown(socket.SHUT_WR)
        while part := peer.recv(65536):
            if choice > 2:
                peer.sendall(part)


HOSTILE = ["close", "early", "nothing", "gone", "cut", "garbage", "flood", "more", "echo", "chunks"]


class Chaos:
    def __init__(self, proxy, seed):
        self.proxy, self.seed = proxy, seed
        self.stop = False
        self.lock = threading.Lock()
        self.counts = {}
        self.wrong = []

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def run(self, work, number):
        choose = random.Random(f"{self.seed}-{number}")
        while not self.stop:
            try:
                work(choose, number)
            except SOCKET_ERRORS as error:
                if work == self.behave:
                    with self.lock:
                        self.wrong.append(f"{type(error).__name__} {error}")

    def behave(self, choose, number):
        with self.proxy.connect(timeout=20) as peer:
            rest = b""
            for turn in range(choose.randrange(1, 30)):
                identity = f"{number}-{turn}-{choose.random()}".encode()
                size = choose.choice([0, 0, 0, 1, 100, 5000, 70_000, 200_000])
                body = bytes(size)
                what = choose.choice([b"echo", b"chunks"])
                head = b"PUT /good HTTP/1.1\r\nHost: a\r\nx-id: %b\r\nx-do: %b\r\n" % (identity, what)
                if choose.randrange(2):
                    peer.sendall(head + b"Content-Length: %d\r\n\r\n%b" % (size, body))
                else:
                    peer.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
                    for start in range(0, size, 7777):
                        part = body[start:start + 7777]
                        peer.sendall(b"%x\r\n%b\r\n" % (len(part), part))
                    peer.sendall(b"0\r\n\r\n")
                answer, rest = read_head(peer, rest)
                while b" 103 " in answer[:20]:
                    answer, rest = read_head(peer, rest)
                got, rest = read_body(peer, answer, rest)
                if not answer.startswith(b"http/1.1 200") or got != identity + b" " + body:
                    with self.lock:
                        self.wrong.append(f"{answer[:40]!r} {got[:80]!r}, for {size} B, {what}")
                    return
                self.count("good answers")

    def misbehave(self, choose, number):
        peer = self.proxy.connect(timeout=choose.choice([0.05, 0.2, 1]))
        self.count("bad callers")
        try:
            what = choose.choice(HOSTILE).encode()
            version = choose.choice([b"1.1", b"1.1", b"1.0"])
            method = choose.choice([b"GET", b"POST", b"PUT", b"HEAD"])
            head = b"%b /bad HTTP/%b\r\nHost: a\r\nx-id: 1\r\nx-do: %b\r\n" % (method, version, what)
            kind = choose.randrange(9)
            if kind == 0:
                peer.sendall(head[:choose.randrange(len(head))])
            elif kind == 1:
                peer.sendall((head + b"\r\n") * choose.randrange(1, 20))
            elif kind == 2:
                peer.sendall(head + b"Content-Length: 100000\r\n\r\n" + bytes(choose.randrange(100_000)))
            elif kind == 3:
                peer.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + bytes(choose.randrange(3)))
            elif kind == 4:
                peer.sendall(choose.randbytes(choose.randrange(1, 3000)))
            elif kind == 5:
                peer.sendall(head.replace(b"x-do: " + what, b"x-do: upgrade").replace(method, b"GET", 1)
                             .replace(b"1.0", b"1.1")
                             + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                               b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
                if choose.randrange(2):
                    peer.recv(100)
                for _ in range(choose.randrange(5)):
                    peer.sendall(bytes(choose.randrange(100_000)))
            elif kind == 6:
                peer.sendall(head + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
                peer.recv(100)
                peer.sendall(b"12345")
            else:
                peer.sendall(head + b"\r\n")
            if choose.randrange(3):
                peer.recv(choose.choice([1, 1000, 100_000]))
            if choose.randrange(4) == 0:
                peer.shutdown(socket.SHUT_WR)
                peer.recv(1000)
            if choose.randrange(6) == 0:
                time.sleep(0.2)
        finally:
            if choose.randrange(2):
                try:
                    reset(peer)
                except OSError:
                    pass
            peer.close()


def main():
    parser = lab.arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    upstream, collector = Upstream(), load.Collector()
    host, port = collector.address
    table = lab.Table(("what", 34), ("measured", 0))
    with lab.Proxy(
            options.binary, upstream.address, workers=options.workers,
            exporters=[f'zipkin: {{ endpoint: "http://{host}:{port}/api/v2/spans", encoding: v2-json }}']) as proxy:
        chaos = Chaos(proxy, options.seed)
        descriptors = len(os.listdir(f"/proc/{proxy.pid}/fd"))
        threads = [threading.Thread(target=chaos.run, args=(chaos.behave, number)) for number in range(4)]
        threads += [threading.Thread(target=chaos.run, args=(chaos.misbehave, 100 + number)) for number in range(12)]
        for thread in threads:
            thread.start()
        memory = 0
        unbalanced = scrapes = 0
        begin = time.monotonic()
        while time.monotonic() - begin < options.seconds and proxy.process.poll() is None:
            time.sleep(0.5)
            scrapes += 1
            unbalanced += not spans.Figures(proxy.metrics()).balances
            if time.monotonic() - begin > options.seconds / 3 and not memory:
                memory = proxy.memory_kib()
        chaos.stop = True
        for thread in threads:
            thread.join()
        alive = proxy.process.poll() is None
        table.row(alive, "the proxy runs on", "" if alive else proxy.log[-2000:])
        table.row(not chaos.wrong, "answers to those who behave",
                  f"{chaos.counts.get('good answers', 0)} beside {chaos.counts.get('bad callers', 0)} bad callers; "
                  f"{len(chaos.wrong)} wrong {chaos.wrong[:5]}")
        table.row(not unbalanced, "scrapes with spans unbalanced", f"{unbalanced} of {scrapes}")
        deadline = time.monotonic() + 25
        while time.monotonic() < deadline:
            samples = proxy.metrics()
            left = {name: int(lab.metric(samples, name))
                    for name in ("downstream_connections", "upstream_connections", "buffers")}
            left["descriptors"] = len(os.listdir(f"/proc/{proxy.pid}/fd")) - descriptors
            if not any(value > 1 for value in left.values()) and not left["buffers"]:
                break
            time.sleep(0.25)
        table.row(all(value <= (name == "descriptors") for name, value in left.items()), "left over", left)
        table.row(proxy.memory_kib() - memory < 4096, "resident memory, last two thirds",
                  f"{proxy.memory_kib() - memory:+d} KiB of {memory}")
        status, seconds = proxy.stop()
        table.row(status == 0 and seconds < 5, "stops", f"exit {status} in {seconds:.2f} s")
    collector.stop()
    table.end()


if __name__ == "__main__":
    main()
