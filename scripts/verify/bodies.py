#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bodies of every framing and size, both directions, compared by hash; memory while the far side is slow.

Each row is one exchange through the real binary, between a scripted upstream and a raw caller:
what was sent, at what rate, and by how much the proxy's resident memory rose at its peak. With --upstream-tls the
upstream speaks TLS by Python's OpenSSL. With --tls the caller is curl, over HTTP/1.1 and HTTP/2, TLS 1.2 and 1.3, with and
without a certificate of its own.
"""

import hashlib
import random
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import lab

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SIZES = [0, 1, 1000, 65_535, 65_536, 65_537, MIB, 16 * MIB]
MEMORY_LIMIT_KIB = 8 * 1024
BLOCK = random.Random(7).randbytes(MIB + 4099)  # no multiple of any buffer


def pieces(size, piece=256 * KIB):
    """The body of this size, in pieces; the same bytes each time."""
    position = 0
    while position < size:
        start = position % len(BLOCK)
        count = min(piece, size - position, len(BLOCK) - start)
        yield BLOCK[start:start + count]
        position += count


def hash_of(size, known={}):
    if size not in known:
        digest = hashlib.blake2b()
        for part in pieces(size):
            digest.update(part)
        known[size] = digest.hexdigest()
    return known[size]


class Reader:
    """Reads heads and bodies of one side; counts and hashes what comes."""

    def __init__(self, peer, pause=None):
        self.peer, self.buffer, self.pause = peer, b"", pause

    def head(self):
        while b"\r\n\r\n" not in self.buffer:
            part = self.peer.recv(64 * KIB)
            if not part:
                raise EOFError("closed in a head: %r" % self.buffer[:200])
            self.buffer += part
        text, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = text.decode("latin-1").split("\r\n")
        return lines[0], {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}

    def _more(self):
        part = self.peer.recv(256 * KIB)
        if self.pause:
            self.pause(len(part))
        return part

    def body(self, fields, is_response, sink=lambda part: None):
        """Answers hash, count and trailer lines."""
        digest, count, trailers = hashlib.blake2b(), 0, []

        def take(part):
            nonlocal count
            digest.update(part)
            count += len(part)
            sink(part)

        if "chunked" in fields.get("transfer-encoding", ""):
            while True:
                size = int(self._line(), 16)
                if size == 0:
                    while line := self._line():
                        trailers.append(line.decode())
                    break
                self._exactly(size, take)
                if self._line():
                    raise ValueError("no line end behind a chunk")
        elif "content-length" in fields:
            self._exactly(int(fields["content-length"]), take)
        elif is_response:
            take(self.buffer)
            self.buffer = b""
            while part := self._more():
                take(part)
        return digest.hexdigest(), count, trailers

    def _line(self):
        while b"\r\n" not in self.buffer:
            part = self._more()
            if not part:
                raise EOFError("closed in a chunked body")
            self.buffer += part
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def _exactly(self, count, take):
        while count:
            if not self.buffer:
                self.buffer = self._more()
                if not self.buffer:
                    raise EOFError(f"closed with {count} bytes missing")
            part = self.buffer[:count] if len(self.buffer) > count else self.buffer
            self.buffer = self.buffer[len(part):]
            take(part)
            count -= len(part)


def send_body(peer, framing, size, pause=None, trailers=(), piece=256 * KIB):
    for part in pieces(size, piece):
        peer.sendall(b"%x\r\n%b\r\n" % (len(part), part) if framing == "chunked" else part)
        if pause:
            pause(len(part))
    if framing == "chunked":
        peer.sendall(b"0\r\n" + "".join(line + "\r\n" for line in trailers).encode() + b"\r\n")


def framing_field(framing, size):
    return {"length": f"Content-Length: {size}\r\n", "chunked": "Transfer-Encoding: chunked\r\n", "close": ""}[framing]


def throttle(bytes_per_second):
    """A pause per piece that keeps to the rate."""
    begin, total = time.monotonic(), 0

    def pause(count):
        nonlocal total
        total += count
        ahead = total / bytes_per_second - (time.monotonic() - begin)
        if ahead > 0.002:
            time.sleep(ahead)

    return pause


class Upstream:
    """Does what the request's target says: `/down/FRAMING/SIZE`, `/up`, `/echo`; `?slow=RATE` reads or writes slowly."""

    def __init__(self, tls=None):
        self.tls = tls
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = self.listener.getsockname()
        self.errors = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            peer, _ = self.listener.accept()
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with peer:
            if not self.tls:
                return self._requests(peer)
            try:
                with self.tls.wrap_socket(peer, server_side=True) as secure:
                    self._requests(secure)
                    secure.settimeout(5)
                    secure.unwrap()  # close_notify: what the end of the stream ends is whole
            except OSError:
                pass

    def _requests(self, peer):
        reader = Reader(peer)
        while True:
            try:
                line, fields = reader.head()
            except (EOFError, OSError):
                return
            try:
                if not self._answer(peer, reader, line.split(" ")[1], fields):
                    return
            except (EOFError, OSError, ValueError) as error:
                self.errors.append(repr(error))
                return

    def _answer(self, peer, reader, target, fields):
        path, _, query = target.partition("?")
        rate = float(query.partition("slow=")[2] or 0)
        kind, *rest = path.strip("/").split("/")
        reader.pause = throttle(rate) if rate and kind == "up" else None
        if kind == "down":
            framing, size = rest[0], int(rest[1])
            reader.body(fields, False)
            peer.sendall(("HTTP/1.1 200 OK\r\n" + framing_field(framing, size) + "\r\n").encode())
            trailers = ("X-Sum: 1", "x-More: two") if framing == "chunked" else ()
            send_body(peer, framing, size, throttle(rate) if rate else None, trailers)
            return framing != "close"
        if kind == "echo":  # the response runs while the request does
            peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            reader.body(fields, False, lambda part: part and peer.sendall(b"%x\r\n%b\r\n" % (len(part), part)))
            peer.sendall(b"0\r\n\r\n")
            return True
        digest, count, trailers = reader.body(fields, False)
        text = f"{digest} {count} {','.join(trailers)}"
        peer.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        return True


class Memory:
    """The rise of the proxy's resident memory while something runs, at its peak."""

    def __init__(self, proxy):
        self.proxy = proxy

    def __enter__(self):
        self.proxy.reset_peak_memory()
        self.before = self.proxy.memory_kib()
        self.begin = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.begin
        self.rise = max(0, self.proxy.memory_kib("VmHWM") - self.before)


class Bodies:
    def __init__(self, proxy):
        self.proxy = proxy
        self.table = lab.Table(("what", 44), ("size", 12), ("seconds", 8), ("MiB/s", 7), ("resident KiB", 13))
        self.peer = None

    def run(self, name, size, exchange):
        """`exchange` answers whether all bytes came as they were sent."""
        with Memory(self.proxy) as memory:
            try:
                holds = exchange()
            except (OSError, EOFError, ValueError) as error:
                holds, name = False, f"{name}: {error!r}"
        rate = f"{size / MIB / memory.seconds:.0f}" if size >= MIB else ""
        self.table.row(
            holds and memory.rise < MEMORY_LIMIT_KIB, name, f"{size}", f"{memory.seconds:.2f}", rate, f"+{memory.rise}")

    def down(self, framing, size, slow_reader=0, slow_writer=0):
        def exchange():
            with self.proxy.connect(receive_buffer=64 * KIB if slow_reader else None, timeout=60) as peer:
                query = f"?slow={slow_writer}" if slow_writer else ""
                peer.sendall(f"GET /down/{framing}/{size}{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                reader = Reader(peer, throttle(slow_reader) if slow_reader else None)
                status, fields = reader.head()
                digest, count, trailers = reader.body(fields, True)
                trailers_hold = framing != "chunked" or trailers == ["X-Sum: 1", "x-More: two"]
                return "200" in status and (digest, count) == (hash_of(size), size) and trailers_hold

        slow = ", slow reader" if slow_reader else ", slow writer" if slow_writer else ""
        self.run(f"response, {framing}{slow}", size, exchange)

    def up(self, framing, size, slow_reader=0, slow_writer=0):
        def exchange():
            with self.proxy.connect(timeout=60) as peer:
                query = f"?slow={slow_reader}" if slow_reader else ""
                peer.sendall(
                    f"PUT /up{query} HTTP/1.1\r\nHost: a\r\n{framing_field(framing, size)}\r\n".encode())
                trailers = ("X-Check: 9", "x-Other: t") if framing == "chunked" else ()
                send_body(peer, framing, size, throttle(slow_writer) if slow_writer else None, trailers)
                reader = Reader(peer)
                status, fields = reader.head()
                text = reader.buffer
                while len(text) < int(fields["content-length"]):
                    text += peer.recv(4096)
                return text.decode() == f"{hash_of(size)} {size} {','.join(trailers)}" and "200" in status

        slow = ", slow reader" if slow_reader else ", slow writer" if slow_writer else ""
        self.run(f"request, {framing}{slow}", size, exchange)

    def duplex(self, framing, size):
        def exchange():
            with self.proxy.connect(timeout=60) as peer:
                peer.sendall(f"POST /echo HTTP/1.1\r\nHost: a\r\n{framing_field(framing, size)}\r\n".encode())
                sender = threading.Thread(target=send_body, args=(peer, framing, size))
                sender.start()
                reader = Reader(peer)
                _, fields = reader.head()
                digest, count, _ = reader.body(fields, True)
                sender.join()
                return (digest, count) == (hash_of(size), size)

        self.run(f"both at once, {framing} up, chunked down", size, exchange)


class Curl:
    """The same by curl, over TLS."""

    WAYS = [(http, version, mutual) for http in ("1.1", "2") for version in ("1.2", "1.3") for mutual in (False, True)]

    def __init__(self, bodies, certificates):
        self.bodies, self.certificates = bodies, certificates

    def _curl(self, way, path, *arguments):
        http, version, mutual = way
        port = self.bodies.proxy.address[1]
        own = ["--cert", f"{self.certificates}/client.pem", "--key", f"{self.certificates}/client.key"] if mutual else []
        command = ["curl", "-sS", "--cacert", f"{self.certificates}/root.pem", f"--http{http}", f"--tlsv{version}",
                   "--tls-max", version, *own, *arguments, f"https://localhost:{port}{path}"]
        return subprocess.Popen(command, stdout=subprocess.PIPE)

    def down(self, way, framing, size):
        def exchange():
            digest, count = hashlib.blake2b(), 0
            with self._curl(way, f"/down/{framing}/{size}") as curl:
                while part := curl.stdout.read(256 * KIB):
                    digest.update(part)
                    count += len(part)
            return curl.returncode == 0 and (digest.hexdigest(), count) == (hash_of(size), size)

        self.bodies.run(f"response, {framing}, {self._name(way)}", size, exchange)

    def up(self, way, size, file):
        def exchange():
            with self._curl(way, "/up", "-H", "Expect:", "-T", file) as curl:
                text = curl.stdout.read().decode()
            return curl.returncode == 0 and text == f"{hash_of(size)} {size} "

        self.bodies.run(f"request, length, {self._name(way)}", size, exchange)

    @staticmethod
    def _name(way):
        return f"HTTP/{way[0]}, TLS {way[1]}{', mutual' if way[2] else ''}"


def by_curl(options):
    if not shutil.which("curl"):
        sys.exit("curl is not installed")
    upstream = Upstream()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([lab.REPOSITORY / "scripts/make-test-certs", folder], check=True)
        pair = f"{{ certificate: {folder}/server-ecdsa.pem, key: {folder}/server-ecdsa.key }}"
        callers = f"{{ mode: optional, ca: {folder}/root.pem }}"
        listener = [f"tls: {{ certificates: [{pair}], client_certificates: {callers} }}"]
        with lab.Proxy(options.binary, upstream.address, listener=listener) as proxy:
            bodies = Bodies(proxy)
            caller = Curl(bodies, folder)
            for way in Curl.WAYS:
                for size in (0, 1, 16_385, 65_537, MIB, options.large * MIB):
                    with open(f"{folder}/body", "wb") as file:
                        file.writelines(pieces(size))
                    for framing in ("length", "chunked"):
                        caller.down(way, framing, size)
                    caller.up(way, size, f"{folder}/body")
                # Whose end the proxy alone tells from a cut.
                caller.down(way, "close", MIB)
            bodies.table.row(not upstream.errors, "errors the upstream saw", "", "", "", f"{len(upstream.errors)}")
            bodies.table.end()


def secured(kind, folder):
    """For an upstream that speaks TLS: its context, and the proxy's options."""
    subprocess.run([lab.REPOSITORY / "scripts/make-test-certs", folder], check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server-ecdsa.pem", folder / "server-ecdsa.key")
    options = [f"ca: {folder / 'root.pem'}"]
    if kind == "1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if kind == "mutual":
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "root.pem")
        options += [f"certificate: {folder / 'client.pem'}", f"key: {folder / 'client.key'}"]
    return context, [f"tls: {{ {', '.join(options)} }}"]


def main():
    parser = lab.arguments(__doc__)
    parser.add_argument("--upstream-tls", choices=("1.2", "1.3", "mutual"))
    parser.add_argument("--tls", action="store_true", help="callers speak TLS; the largest body is 100 MiB then")
    parser.add_argument("--large", type=int, help="MiB of the largest bodies (default: 1024, with --tls 100)")
    options = parser.parse_args()
    options.large = options.large or (100 if options.tls else 1024)
    if options.tls:
        return by_curl(options)
    large = options.large * MIB
    with tempfile.TemporaryDirectory() as folder:
        context, lines = None, ()
        if options.upstream_tls:
            context, lines = secured(options.upstream_tls, pathlib.Path(folder))
        run(options.binary, Upstream(context), lines, large)


def run(binary, upstream, upstream_options, large):
    with lab.Proxy(binary, upstream.address, upstream_options=upstream_options) as proxy:
        bodies = Bodies(proxy)
        for framing in ("length", "chunked", "close"):
            for size in SIZES:
                bodies.down(framing, size)
        for framing in ("length", "chunked"):
            for size in SIZES:
                bodies.up(framing, size)
        for framing in ("length", "chunked"):
            for size in (0, 1000, 16 * MIB):
                bodies.duplex(framing, size)
        for framing in ("length", "chunked", "close"):
            bodies.down(framing, large)
        for framing in ("length", "chunked"):
            bodies.up(framing, large)
        bodies.duplex("chunked", large)
        rate = large / 10
        for framing in ("length", "chunked", "close"):
            bodies.down(framing, large, slow_reader=rate)
        bodies.up("length", large, slow_reader=rate)
        bodies.up("chunked", large, slow_reader=rate)
        bodies.down("chunked", 16 * MIB, slow_writer=8 * MIB)
        bodies.up("chunked", 16 * MIB, slow_writer=8 * MIB)
        deadline = time.monotonic() + 6
        while (in_use := lab.metric(proxy.metrics(), "buffers")) and time.monotonic() < deadline:
            time.sleep(0.2)
        bodies.table.row(in_use == 0, "buffers still in use afterwards", "", "", "", f"{in_use:.0f}")
        bodies.table.row(not upstream.errors, "errors the upstream saw", "", "", "", f"{len(upstream.errors)}")
        bodies.table.end()


if __name__ == "__main__":
    main()
