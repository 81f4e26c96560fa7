#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A listener's certificate is replaced again and again, as Kubernetes does it, under new, resumed and kept connections.

First every 200 ms under load: no handshake and no request fails, and no certificate is shown a second after another took its
place. Then one at a time: how long until the new one is shown. At last a certificate with another one's key: the old one stays.
"""

import hashlib
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import lab
import load

GENERATIONS = 12


class Authority:
    """What scripts/make-test-certs makes, and leaves of its intermediate, each with a key of its own."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        subprocess.run([lab.REPOSITORY / "scripts/make-test-certs", folder], check=True)

    def leaf(self, number):
        key, request, leaf = (self.folder / f"leaf-{number}.{end}" for end in ("key", "csr", "crt"))
        names = self.folder / "names"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
        self._openssl("req", "-new", "-key", key, "-subj", f"/CN=generation {number}", "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.folder / "intermediate.pem", "-CAkey",
                      self.folder / "intermediate.key", "-set_serial", str(1000 + number), "-days", "30",
                      "-extfile", names, "-out", leaf)
        return leaf.read_bytes(), (self.folder / "intermediate.pem").read_bytes(), key.read_bytes()

    @staticmethod
    def _openssl(*words):
        subprocess.run(["openssl", *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Mounted:
    """A folder like a Kubernetes secret's: tls.crt and tls.key lead to ..data, and ..data to the folder of the day."""

    def __init__(self, folder, leaves):
        self.folder, self.leaves = pathlib.Path(folder), leaves
        self.prints = [hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf.decode())).digest() for leaf, _, _ in leaves]
        self.count = 0
        #: When each took the place of the one before.
        self.history = []
        self.show(0)
        for name in ("tls.crt", "tls.key"):
            os.symlink(f"..data/{name}", self.folder / name)

    def show(self, certificate, key=None):
        """Swaps the link; the folder before it goes."""
        self.count += 1
        leaf, chain, _ = self.leaves[certificate]
        after = self.folder / f"..{self.count}"
        after.mkdir()
        (after / "tls.crt").write_bytes(leaf + chain)
        (after / "tls.key").write_bytes(self.leaves[certificate if key is None else key][2])
        before = os.path.realpath(self.folder / "..data")
        os.symlink(after.name, self.folder / "..data_tmp")
        os.replace(self.folder / "..data_tmp", self.folder / "..data")
        self.history.append((time.monotonic(), self.prints[certificate]))
        if self.count > 1:
            shutil.rmtree(before)

    def allowed(self, begin, end, seconds):
        """Fingerprints that may be seen by a handshake of that time."""
        shown, later = set(), time.monotonic()
        for since, fingerprint in reversed(self.history):
            if since <= end and later >= begin - seconds:
                shown.add(fingerprint)
            later = since
        return shown


class Callers:
    """Threads of one kind of caller, until told to stop."""

    REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nx-id: 12345678\r\n\r\n"

    def __init__(self, kind, address, anchors, mounted, within, threads=2):
        self.kind, self.address, self.mounted, self.within = kind, address, mounted, within
        self.context = ssl.create_default_context(cafile=str(anchors))
        self.requests = self.handshakes = self.resumed = self.stale = 0
        self.errors = []
        self.stopping = False
        self.lock = threading.Lock()
        work = self._keep if kind == "kept" else self._connect
        self.threads = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(90)

    def open(self, session=None):
        """A connection after its handshake, with what may be shown on it."""
        plain = socket.create_connection(self.address, timeout=60)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.context.wrap_socket(plain, server_hostname="localhost", session=session)

    def exchange(self, peer):
        peer.sendall(self.REQUEST)
        received = b""
        while b"\r\n\r\n" not in received:
            piece = peer.recv(65536)
            if not piece:
                raise OSError("closed in the middle of a response")
            received += piece
        if not received.startswith(b"HTTP/1.1 200"):
            raise OSError(f"answered {received[:40]!r}")
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        while len(body) < length:
            body += peer.recv(65536)

    def _connect(self):
        session = None
        while not self.stopping:
            begin = time.monotonic()
            try:
                with self.open(session) as peer:
                    end = time.monotonic()
                    shown = hashlib.sha256(peer.getpeercert(True)).digest()
                    self.exchange(peer)
                    with self.lock:
                        self.handshakes += 1
                        self.requests += 1
                        self.resumed += peer.session_reused
                        if not peer.session_reused and shown not in self.mounted.allowed(begin, end, self.within):
                            self.stale += 1
                    if self.kind == "resumed":
                        session = peer.session
            except OSError as error:
                with self.lock:
                    self.errors.append(repr(error))

    def _keep(self):
        try:
            with self.open() as peer:
                while not self.stopping:
                    self.exchange(peer)
                    with self.lock:
                        self.requests += 1
                    time.sleep(0.005)
        except OSError as error:
            with self.lock:
                self.errors.append(repr(error))


def until_shown(callers, mounted, number):
    """Seconds from the swap to the first handshake with the new certificate."""
    mounted.show(number)
    begin = time.monotonic()
    while time.monotonic() - begin < callers.within + 10:
        with callers.open() as peer:
            if hashlib.sha256(peer.getpeercert(True)).digest() == mounted.prints[number]:
                return time.monotonic() - begin
        time.sleep(0.005)
    return callers.within + 10


def main():
    parser = lab.arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--within", type=float, default=1, help="seconds a change may take (default: %(default)s)")
    parser.add_argument("--reloads", type=float, default=0.5, help="reloads a swap, more than that (default: %(default)s)")
    parser.add_argument("--singly", type=int, default=10, help="swaps that are timed (default: %(default)s)")
    options = parser.parse_args()
    upstreams, address = load.start_upstream()
    table = lab.Table(("what", 34), ("figure", 12))
    with tempfile.TemporaryDirectory(prefix="rotate-") as folder:
        certificates = pathlib.Path(folder) / "ca"
        mount = pathlib.Path(folder) / "mount"
        mount.mkdir()
        authority = Authority(certificates)
        mounted = Mounted(mount, [authority.leaf(number) for number in range(GENERATIONS)])
        tls = f"tls: {{ certificates: [ {{ certificate: {mount}/tls.crt, key: {mount}/tls.key }} ] }}"
        with lab.Proxy(options.binary, address, workers=options.workers, listener=(tls, "timeouts: { tls_handshake: 60s }"),
                       upstream_options=("timeouts: { connect: 60s }",)) as proxy:
            check(options, proxy, mounted, certificates / "root.pem", table)
    for upstream in upstreams:
        upstream.end()
    table.end()


def check(options, proxy, mounted, anchors, table):
    groups = [Callers(kind, proxy.address, anchors, mounted, options.within) for kind in ("new", "resumed", "kept")]
    new, resumed, kept = groups
    begin = time.monotonic()
    swaps = 0
    # Some may stand still for as long: then it goes on until each has done something.
    while time.monotonic() - begin < options.seconds or (
            time.monotonic() - begin < options.seconds + 60 and not (new.handshakes and resumed.resumed and kept.requests)):
        swaps += 1
        mounted.show(swaps % GENERATIONS)
        time.sleep(max(0, begin + swaps * 0.2 - time.monotonic()))
    for group in groups:
        group.stop()
    samples = proxy.metrics()
    deadline = time.monotonic() + 30
    while lab.metric(samples, "tls_reloads_total", result="ok") <= swaps * options.reloads and time.monotonic() < deadline:
        time.sleep(0.05)
        samples = proxy.metrics()
    table.row(True, "swaps", swaps)
    table.row(lab.metric(samples, "tls_reloads_total", result="ok") > swaps * options.reloads, "reloads",
              f"{lab.metric(samples, 'tls_reloads_total', result='ok'):.0f}")
    table.row(lab.metric(samples, "tls_reloads_total", result="failed") == 0, "reloads failed",
              f"{lab.metric(samples, 'tls_reloads_total', result='failed'):.0f}")
    table.row(new.handshakes > 0, "new handshakes", new.handshakes)
    table.row(resumed.resumed > 0, "resumed handshakes", resumed.resumed, f"of {resumed.handshakes}")
    table.row(kept.requests > 0, "requests on kept connections", kept.requests)
    errors = [error for group in groups for error in group.errors]
    table.row(not errors, "failed", len(errors), *errors[:3])
    stale = sum(group.stale for group in groups)
    table.row(stale == 0, f"certificates shown {options.within:g} s late", stale)
    times = sorted(until_shown(new, mounted, (swaps + 1 + number) % GENERATIONS) for number in range(options.singly))
    table.row(times[-1] < options.within, "slowest new certificate, ms", f"{times[-1] * 1000:.0f}", f"median {times[len(times) // 2] * 1000:.0f}")
    torn(proxy, mounted, new, table, swaps + options.singly)


def torn(proxy, mounted, callers, table, last):
    """A pair that does not belong together; `last` is the certificate in use."""
    mounted.show((last + 1) % GENERATIONS, key=(last + 2) % GENERATIONS)
    deadline = time.monotonic() + 30
    while lab.metric(proxy.metrics(), "tls_reloads_total", result="failed") == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    samples = proxy.metrics()
    with callers.open() as peer:
        shown = hashlib.sha256(peer.getpeercert(True)).digest()
    table.row(shown == mounted.prints[last % GENERATIONS], "old one kept after a mismatch", "yes")
    failed = lab.metric(samples, "tls_reloads_total", result="failed")
    table.row(failed == 1, "mismatches counted", f"{failed:.0f}")


if __name__ == "__main__":
    main()
