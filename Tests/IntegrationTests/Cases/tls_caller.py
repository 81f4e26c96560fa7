#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One caller that speaks TLS, step by step, so that it can also end a connection in ways no library does by itself.

  tls_caller.py HOST:PORT --ca FILE [--name NAME] [--version 1.2|1.3] [--alpn A,B] [--certificate FILE --key FILE]
                [--times N] [--request TEXT] [--end keep|half|cut|reset] [--wait SECONDS] [--least BYTES]

Prints a JSON list with what each of N connections was told; from the second on they resume the session of the one before.
--request is sent with its backslash escapes read; --end says what the caller does behind it: nothing, close_notify alone,
FIN without close_notify, or RST. Then it reads to the end of the stream, until it has so many bytes, or for so many seconds.
"""

import argparse
import codecs
import json
import socket
import ssl
import struct
import time


class Caller:
    def __init__(self, address, context, name, session):
        self.peer = socket.create_connection(address, timeout=60)
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name, session=session)

    def flush(self):
        if data := self.outgoing.read():
            self.peer.sendall(data)

    def run(self, call, deadline=None):
        """Until it needs no more bytes; EOFError at the end of the stream, TimeoutError at the deadline."""
        while True:
            try:
                result = call()
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
            except ssl.SSLError:
                self.flush()
                raise
            if deadline:
                self.peer.settimeout(max(0.001, deadline - time.monotonic()))
            data = self.peer.recv(65536)
            if not data:
                raise EOFError
            self.incoming.write(data)

    def say_goodbye(self):
        """close_notify; the other direction stays open."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()

    def read(self, seconds, least):
        """All plaintext, and how the stream ended."""
        received, deadline = b"", time.monotonic() + seconds
        while not least or len(received) < least:
            try:
                part = self.run(lambda: self.tls.read(65536), deadline)
            except ssl.SSLZeroReturnError:
                return received, "close_notify"
            except EOFError:
                return received, "cut"
            except ConnectionResetError:
                return received, "reset"
            except TimeoutError:
                return received, "open"
            except ssl.SSLError as error:
                return received, f"alert {error.reason}"
            if not part:
                return received, "close_notify"
            received += part
        return received, "open"


def connect(address, context, options, session):
    told = {}
    caller = Caller(address, context, options.name, session)
    try:
        caller.run(caller.tls.do_handshake)
    except (ssl.SSLError, EOFError, OSError) as error:
        told["failed"] = getattr(error, "reason", None) or type(error).__name__
        return told, None
    told["version"] = caller.tls.version()
    told["alpn"] = caller.tls.selected_alpn_protocol()
    told["resumed"] = caller.tls.session_reused
    names = caller.tls.getpeercert().get("subjectAltName", ())
    told["names"] = [value for kind, value in names if kind == "DNS"]
    time.sleep(options.pause)
    caller.run(lambda: caller.tls.write(options.request))
    if options.end == "half":
        caller.say_goodbye()
    elif options.end == "cut":
        caller.peer.shutdown(socket.SHUT_WR)
    elif options.end == "reset":
        caller.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        caller.peer.close()
        return told, None
    received, told["end"] = caller.read(options.wait, options.least)
    told["received"] = received.decode("latin-1")
    session = caller.tls.session
    caller.peer.close()
    return told, session


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--ca", required=True)
    parser.add_argument("--name", default="localhost")
    parser.add_argument("--version", choices=("1.2", "1.3"))
    parser.add_argument("--alpn")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--request", default=r"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    parser.add_argument("--end", choices=("keep", "half", "cut", "reset"), default="keep")
    parser.add_argument("--wait", type=float, default=60)
    parser.add_argument("--least", type=int, default=0)
    parser.add_argument("--pause", type=float, default=0, help="seconds between handshake and request")
    options = parser.parse_args()
    options.request = codecs.decode(options.request, "unicode_escape").encode("latin-1")
    host, _, port = options.address.rpartition(":")
    context = ssl.create_default_context(cafile=options.ca)
    if options.version:
        version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[options.version]
        context.minimum_version = context.maximum_version = version
    if options.alpn:
        context.set_alpn_protocols(options.alpn.split(","))
    if options.certificate:
        context.load_cert_chain(options.certificate, options.key)
    told, session = [], None
    for _ in range(options.times):
        answer, session = connect((host, int(port)), context, options, session)
        told.append(answer)
    print(json.dumps(told))


main()
