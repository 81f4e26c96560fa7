#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An HTTP/1.1 server by `openssl s_server` that changes its keys while nobody asks it anything (RFC 8446 §4.6.3).

  tls_key_update.py --certificate FILE --key FILE [--asks]

Prints `port N`. It serves one connection: each request is answered with its number; a moment later the keys change, with
--asks the peer's too, and `changed NUMBER` is printed.
"""

import argparse
import array
import fcntl
import socket
import subprocess
import termios
import time


def say(server, text):
    """Returns when s_server has read it: a command that it reads together with what was said before is none."""
    server.stdin.write(text.encode())
    server.stdin.flush()
    unread = array.array("i", [1])
    while unread[0] and server.poll() is None:
        fcntl.ioctl(server.stdin.fileno(), termios.FIONREAD, unread)
        time.sleep(0.001)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--asks", action="store_true")
    options = parser.parse_args()
    # Held, though not listened on: nobody else is given the port before openssl has it.
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    port = place.getsockname()[1]
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", options.certificate, "-key", options.key,
               "-cert_chain", options.certificate, "-tls1_3", "-naccept", "1"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    requests, was_asked = 0, False
    for line in server.stdout:
        if line.startswith(b"ACCEPT"):
            print("port", port, flush=True)
        if line.startswith(b"GET "):
            was_asked = True
        if was_asked and not line.strip():  # the head has ended
            requests, was_asked = requests + 1, False
            body = str(requests)
            # A line that begins with one of its letters is a command to s_server; this one begins with H.
            say(server, f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}")
            time.sleep(0.2)
            say(server, "K\n" if options.asks else "k\n")
            print("changed", requests, flush=True)


main()
