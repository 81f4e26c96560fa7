#!/usr/bin/env python3
"""TLS 1.3 connections one after the other, each resuming the session of the one before, each with one request; prints how many, as JSON.

  resumptions.py PORT PATH REPLY_BYTES SECONDS
"""
import json
import socket
import ssl
import sys
import time


def context():
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return made


def ask(connection, path, size):
    """One request; the session tickets come with its answer."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    got = b""
    while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < size:
        more = connection.recv(65536)
        if not more:
            break
        got += more
    if not got.startswith(b"HTTP/1.1 200") or len(got.partition(b"\r\n\r\n")[2]) != size:
        raise SystemExit(f"no whole 200 but {got[:60]}")


def main(port, path, size, seconds):
    made, session, count = context(), None, 0
    start = time.monotonic()
    while time.monotonic() < start + seconds:
        with made.wrap_socket(socket.create_connection(("127.0.0.1", port), 5), session=session) as connection:
            ask(connection, path, size)
            if session and not connection.session_reused:
                raise SystemExit("a session was not resumed")
            session = connection.session
        count += 1
    print(json.dumps({"requests": count, "seconds": time.monotonic() - start}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
