# SPDX-License-Identifier: Apache-2.0
"""A collector in memory: takes the five formats of the proxy and what Envoy posts, and keeps the spans."""

from __future__ import annotations

import gzip
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable

from decode_json import read_v1, read_v2
from decode_protobuf import read_otlp, read_v2_proto
from decode_thrift import read_v1_thrift
from spans import BadReport, Span
from tree import Trace, assemble

BODY_LIMIT = 64 * 1024 * 1024


def decoder(path: str, content_type: str) -> Callable[[bytes], list[Span]]:
    """Chooses the reader as Zipkin does, by path and then by content type."""
    path, _, _ = path.partition("?")
    kind = content_type.partition(";")[0].strip().lower()
    if path.endswith("/api/v1/spans"):
        return read_v1_thrift if kind == "application/x-thrift" else read_v1
    if path.endswith("/api/v2/spans"):
        return read_v2_proto if kind == "application/x-protobuf" else read_v2
    if path.endswith(("/v1/traces", "/api/otlp/traces")):
        if kind == "application/x-protobuf":
            return read_otlp
        raise BadReport(f"OTLP as {kind or 'nothing'}: only application/x-protobuf is read here")
    raise BadReport(f"no collector at {path}")


class Collector:
    """Listens on loopback and groups what arrives by trace."""

    def __init__(self, port: int = 0) -> None:
        self._spans: defaultdict[str, list[Span]] = defaultdict(list)
        self._changed = threading.Condition()
        self._last_arrival = time.monotonic()
        self.refused: list[str] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                try:
                    body = _body(self)
                    spans = decoder(self.path, self.headers.get("Content-Type", ""))(body)
                except BadReport as error:
                    collector.refused.append(f"{self.path}: {error}")
                    # What is left of the body is not read, so the connection cannot go on.
                    self.close_connection = True
                    return self._reply(400, f"{error}\n".encode())
                collector.add(spans)
                # OTLP answers 200 with an (empty) protobuf, Zipkin 202 with nothing.
                self._reply(200 if self.path.endswith("traces") else 202, b"")

            def do_GET(self) -> None:
                drawn = [
                    line for trace in collector.traces() for line in [trace.trace_id, *trace.lines(), trace.summary, ""]
                ]
                self._reply(200, "\n".join(drawn or ["no trace yet", ""]).encode())

            def _reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                protobuf = (
                    self.headers.get("Content-Type", "") if status == 200 and not body else "text/plain; charset=utf-8"
                )
                self.send_header("Content-Type", protobuf)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Silent: the picture is the trace."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port: int = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True, name="collector").start()

    def add(self, spans: list[Span]) -> None:
        """Keeps spans."""
        with self._changed:
            for span in spans:
                # By the low half: a hop that cuts ids to 64 bits then shows as a torn tree, not as nothing.
                self._spans[span.trace_id[-16:]].append(span)
            self._last_arrival = time.monotonic()
            self._changed.notify_all()

    def traces(self) -> list[Trace]:
        """Every trace so far, oldest first."""
        with self._changed:
            traces = [assemble(spans) for spans in self._spans.values()]
        return sorted(traces, key=lambda trace: trace.spans[0].timestamp)

    def wait(self, trace_count: int, span_count: int, timeout: float, quiet: float = 0.4) -> list[Trace]:
        """Waits for that many traces of that many spans, then until nothing more came for `quiet` seconds."""
        deadline = time.monotonic() + timeout
        while (now := time.monotonic()) < deadline:
            with self._changed:
                full = sum(len(spans) >= span_count for spans in self._spans.values()) >= trace_count
                if full and now - self._last_arrival >= quiet:
                    break
                self._changed.wait(min(0.05 if full else deadline - now, 0.5))
        return self.traces()

    def stop(self) -> None:
        """Closes the port."""
        self.server.shutdown()
        self.server.server_close()


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if "chunked" in handler.headers.get("Transfer-Encoding", "").lower():
        body = _chunks(handler)
    else:
        size = int(handler.headers.get("Content-Length") or 0)
        if size > BODY_LIMIT:
            raise BadReport(f"a report of {size} bytes")
        body = handler.rfile.read(size)
    if "gzip" in handler.headers.get("Content-Encoding", ""):
        try:
            body = gzip.decompress(body)
        except (OSError, EOFError) as error:
            raise BadReport(f"not gzip: {error}") from error
    return body


def _chunks(handler: BaseHTTPRequestHandler) -> bytes:
    body = bytearray()
    while True:
        try:
            size = int(handler.rfile.readline(64).partition(b";")[0], 16)
        except ValueError as error:
            raise BadReport("bad chunk size") from error
        if size + len(body) > BODY_LIMIT:
            raise BadReport("a report without end")
        if size == 0:
            break
        body += handler.rfile.read(size)
        handler.rfile.readline(8)
    while handler.rfile.readline(8192).strip():
        pass
    return bytes(body)
