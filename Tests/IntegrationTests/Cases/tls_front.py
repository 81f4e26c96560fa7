#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speaks TLS in front of a plain server, by Python's OpenSSL: what came and went stays as it was.

  tls_front.py --backend HOST:PORT --certificate FILE --key FILE [--min 1.2] [--max 1.3] [--alpn h2,http/1.1]
               [--ciphers LIST] [--client-ca FILE] [--crl FILE] [--cut] [--instead stall|close|plain]

Prints `port N`, then one line for each handshake: `session {"version": …}` or `failure TEXT`.
"""

import argparse
import json
import select
import socket
import ssl
import sys
import threading

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3, "1.1": ssl.TLSVersion.TLSv1_1}
PIECE = 1 << 16
BACKLOG = 1 << 20
"""Ciphertext that may wait for the peer before the backend is read no more."""


def tell(*words):
    """A line in one write: printed word by word, those of two threads would mix."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def context(options):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(options.certificate, options.key)
    made.minimum_version = VERSIONS[options.min]
    made.maximum_version = VERSIONS[options.max]
    if options.ciphers:
        made.set_ciphers(options.ciphers)
    if options.alpn:
        made.set_alpn_protocols(options.alpn.split(","))
    if options.client_ca:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(options.client_ca)
    if options.crl:
        made.load_verify_locations(options.crl)
        made.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return made


class Connection:
    """One connection, on a thread of its own: the peer's ciphertext on one side, the backend on the other."""

    def __init__(self, peer, made, options):
        self.peer, self.options = peer, options
        self.received, self.sealed = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = made.wrap_bio(self.received, self.sealed, server_side=True)
        self.name = None
        self.waiting = b""
        self.backend = None

    def run(self):
        try:
            if self.shakes_hands():
                self.relay()
        except OSError:
            pass
        finally:
            for side in (self.peer, self.backend):
                if side:
                    side.close()

    def shakes_hands(self):
        while True:
            try:
                self.tls.do_handshake()
                self.peer.sendall(self.sealed.read())
                break
            except ssl.SSLWantReadError:
                self.peer.sendall(self.sealed.read())
                came = self.peer.recv(PIECE)
                if not came:
                    return self.failed("closed")
                self.received.write(came)
            except ssl.SSLError as error:
                left = self.sealed.read()
                if left:
                    self.peer.sendall(left)
                return self.failed(error.reason or str(error))
        subject = [value for part in (self.tls.getpeercert() or {}).get("subject", ()) for _, value in part]
        told = {"version": self.tls.version(), "alpn": self.tls.selected_alpn_protocol(), "name": names.get(self.tls),
                "resumed": self.tls.session_reused, "caller": subject}
        tell("session", json.dumps(told))
        return True

    def failed(self, reason):
        tell("failure", reason)
        return False

    def relay(self):
        host, port = self.options.backend.rsplit(":", 1)
        self.backend = socket.create_connection((host.strip("[]"), int(port)))
        self.peer.setblocking(False)
        backend_ended = peer_ended = False
        self.open_records()
        while not (backend_ended and not self.waiting):
            reads = [] if peer_ended else [self.peer]
            if not backend_ended and len(self.waiting) < BACKLOG:
                reads.append(self.backend)
            ready, writable, _ = select.select(reads, [self.peer] if self.waiting else [], [])
            if self.backend in ready:
                came = self.backend.recv(PIECE)
                if came:
                    self.tls.write(came)
                else:
                    backend_ended = True
                    self.say_farewell()
                self.waiting += self.sealed.read()
            if self.peer in ready:
                came = self.peer.recv(PIECE)
                peer_ended = not came
                self.received.write(came)
                if peer_ended or self.open_records():
                    self.backend.shutdown(socket.SHUT_WR)
            if self.waiting and (writable or self.backend in ready):
                try:
                    self.waiting = self.waiting[self.peer.send(self.waiting):]
                except BlockingIOError:
                    pass

    def open_records(self):
        """Passes on what has come; answers whether the peer has said that no more will."""
        while True:
            try:
                plain = self.tls.read(PIECE)
            except ssl.SSLWantReadError:
                return False
            except ssl.SSLZeroReturnError:
                return True
            if not plain:
                return True
            self.backend.sendall(plain)

    def say_farewell(self):
        if self.options.cut:
            return
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass


names = {}
"""The server name each connection asked for."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--min", choices=VERSIONS, default="1.2")
    parser.add_argument("--max", choices=VERSIONS, default="1.3")
    parser.add_argument("--alpn")
    parser.add_argument("--ciphers")
    parser.add_argument("--client-ca")
    parser.add_argument("--crl")
    parser.add_argument("--cut", action="store_true", help="end without close_notify")
    parser.add_argument("--instead", choices=["stall", "close", "plain"], help="of a handshake: how a ClientHello is met")
    options = parser.parse_args()
    made = context(options)
    made.sni_callback = lambda connection, name, _: names.__setitem__(connection, name)
    listener = socket.create_server(("127.0.0.1", options.port), backlog=512)
    tell("port", listener.getsockname()[1])
    held = []
    while True:
        peer, _ = listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if options.instead == "stall":
            held.append(peer)
        elif options.instead:
            peer.recv(PIECE)
            if options.instead == "plain":
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            peer.close()
        else:
            threading.Thread(target=Connection(peer, made, options).run, daemon=True).start()


main()
