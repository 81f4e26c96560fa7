# SPDX-License-Identifier: Apache-2.0
"""The small HTTP machinery under the four services: a threaded server and an outgoing call.

The services know nothing of tracing. Like the originals they only copy fields from the call they answer to the calls
they make, which is all a mesh asks of an application.
"""

from __future__ import annotations

import http.client
import json
import threading
from dataclasses import dataclass, field
from email.message import Message as Fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable

FORWARDED = (
    "x-request-id x-ot-span-context x-datadog-trace-id x-datadog-parent-id x-datadog-sampling-priority traceparent "
    "tracestate x-cloud-trace-context grpc-trace-bin x-b3-traceid x-b3-spanid x-b3-parentspanid x-b3-sampled x-b3-flags "
    "sw8 end-user user-agent cookie authorization jwt"
).split()
"""What details, reviews and ratings pass on. Not `b3`: productpage alone reads that."""


@dataclass
class Request:
    """A request as a service sees it."""

    method: str
    path: str
    query: str
    fields: Fields
    body: bytes

    def forwarded(self) -> dict[str, str]:
        """The fields a service copies to its own calls."""
        return {name: self.fields[name] for name in FORWARDED if self.fields[name] is not None}


@dataclass
class Reply:
    """What a service answers."""

    status: int
    body: bytes
    content_type: str = "application/json"
    fields: dict[str, str] = field(default_factory=dict)


def json_reply(status: int, document: Any) -> Reply:
    """A JSON answer."""
    return Reply(status, json.dumps(document).encode())


@dataclass(frozen=True)
class Address:
    """Where a call goes: the name the application uses, and the sidecar's port that in Kubernetes catches it unseen."""

    authority: str
    port: int

    def call(self, path: str, fields: dict[str, str], timeout: float) -> tuple[int, Any]:
        """GETs a JSON document; raises OSError or ValueError."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path, headers={"Host": self.authority, "Accept": "application/json", **fields})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()


Answer = Callable[[Request], Reply]


class App:
    """One service on one loopback port, each request on its own thread."""

    def __init__(self, name: str, answer: Answer, port: int = 0) -> None:
        self.name = name

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Without it the body waits for the acknowledgement of the head: 40 ms a reply.
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                path, _, query = self.path.partition("?")
                reply = answer(Request(self.command, path, query, self.headers, self.rfile.read(size)))
                self.send_response(reply.status)
                for name, value in reply.fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(reply.body)

            do_GET = do_HEAD = do_POST = _serve

            def log_message(self, format: str, *args: Any) -> None:
                """Silent: the picture is the trace."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port: int = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True, name=name).start()

    def stop(self) -> None:
        """Closes the port."""
        self.server.shutdown()
        self.server.server_close()
