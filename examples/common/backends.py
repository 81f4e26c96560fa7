# SPDX-License-Identifier: Apache-2.0
"""Where spans go and how traces come back: the collector in this process, a real Zipkin, or an OpenTelemetry Collector."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from collector import Collector
from command import Say
from decode_json import read_v2
from processes import Program, Programs, free_ports
from tree import Trace, assemble

ENCODINGS = {
    "v1-thrift": "/api/v1/spans",
    "v1-json": "/api/v1/spans",
    "v2-json": "/api/v2/spans",
    "v2-proto": "/api/v2/spans",
    "otlp": "/v1/traces",
}
"""The paths the proxy posts to, by its name for the encoding."""


class Backend(Protocol):
    """A place for spans."""

    description: str
    zipkin_port: int
    """Takes v1 on /api/v1/spans and v2 on /api/v2/spans."""
    otlp_port: int
    """Takes OTLP/HTTP on /v1/traces; 0 when it does not."""

    def wait_until_ready(self) -> None:
        """Returns when spans may come."""

    def wait(self, trace_count: int, span_count: int, timeout: float) -> list[Trace]:
        """The traces, once that many are complete or the time is over."""

    def link(self, trace: Trace) -> str:
        """A page that shows the trace; empty when there is none."""

    def complaints(self) -> list[str]:
        """Reports that could not be read."""

    def stop(self) -> None:
        """Closes what is in this process."""


class BuiltIn:
    """The collector of this example."""

    def __init__(self, port: int = 0) -> None:
        self.collector = Collector(port)
        self.zipkin_port = self.otlp_port = self.collector.port
        self.description = f"built-in collector on port {self.zipkin_port}"

    def wait_until_ready(self) -> None:
        """It listens since it exists."""

    def wait(self, trace_count: int, span_count: int, timeout: float) -> list[Trace]:
        """Waits for the spans to arrive."""
        return self.collector.wait(trace_count, span_count, timeout)

    def link(self, trace: Trace) -> str:
        """All trees as text."""
        return f"http://127.0.0.1:{self.collector.port}/"

    def complaints(self) -> list[str]:
        """What it answered with 400."""
        return self.collector.refused

    def stop(self) -> None:
        """Closes the port."""
        self.collector.stop()


class Zipkin:
    """A real Zipkin server; the trees are read back from its API."""

    def __init__(self, programs: Programs, jar: str) -> None:
        self.zipkin_port, self.otlp_port = free_ports(1)[0], 0
        self.description = f"Zipkin ({Path(jar).name}) on port {self.zipkin_port}"
        port = "--armeria.ports[0]"
        self.program = programs.start(
            "zipkin",
            # C1 only: the server lives for seconds, so quick start beats peak speed.
            ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-jar", jar]
            + [f"{port}.ip=127.0.0.1", f"{port}.port={self.zipkin_port}", f"{port}.protocols[0]=http"],
            {"QUERY_PORT": str(self.zipkin_port)},
        )

    def wait_until_ready(self) -> None:
        """Waits for its health page."""
        self.program.wait_for_ok(self.zipkin_port, "/health", timeout=25)

    def wait(self, trace_count: int, span_count: int, timeout: float) -> list[Trace]:
        """Asks the API until the traces are complete and stay the same for one more look."""
        deadline = time.monotonic() + timeout
        traces: list[Trace] = []
        while time.monotonic() < deadline:
            before, traces = traces, self._traces(trace_count)
            complete = [trace for trace in traces if len(trace.spans) >= span_count]
            if len(complete) >= trace_count and [len(t.spans) for t in before] == [len(t.spans) for t in traces]:
                break
            time.sleep(0.4)
        return traces

    def _traces(self, limit: int) -> list[Trace]:
        found = json.loads(self._get(f"/api/v2/traces?limit={limit + 10}"))
        ids = [spans[0]["traceId"] for spans in found]
        return sorted(map(self._trace, ids), key=lambda trace: trace.spans[0].timestamp)

    def _trace(self, trace_id: str) -> Trace:
        spans = read_v2(self._get(f"/api/v2/trace/{trace_id}"))
        # How a span came here is Zipkin's secret; that it leaves as v2 JSON says nothing.
        return assemble(replace(span, encoding="") for span in spans)

    def _get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.zipkin_port, timeout=5)
        try:
            connection.request("GET", path, headers={"b3": "0"})
            response = connection.getresponse()
            body = response.read()
            return body if response.status == 200 else b"[]"
        except OSError:
            return b"[]"
        finally:
            connection.close()

    def link(self, trace: Trace) -> str:
        """Its page of the trace."""
        return f"http://127.0.0.1:{self.zipkin_port}/zipkin/traces/{trace.trace_id}"

    def complaints(self) -> list[str]:
        """None known; Zipkin says so in its log."""
        return []

    def stop(self) -> None:
        """The program is stopped with the others."""


class OpenTelemetryCollector:
    """A real Collector between: takes OTLP and Zipkin, hands everything as OTLP to the built-in collector."""

    def __init__(self, programs: Programs, binary: str) -> None:
        self.behind = BuiltIn()
        self.zipkin_port, self.otlp_port = free_ports(2)
        self.description = f"OpenTelemetry Collector on ports {self.otlp_port} (OTLP) and {self.zipkin_port} (Zipkin)"
        config = programs.directory / "otelcol.json"
        config.write_text(json.dumps(self._config()))
        self.program: Program = programs.start("otelcol", [binary, "--config", str(config)])

    def _config(self) -> object:
        return {
            "receivers": {
                "otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{self.otlp_port}"}}},
                "zipkin": {"endpoint": f"127.0.0.1:{self.zipkin_port}"},
            },
            "exporters": {"otlphttp": {"endpoint": f"http://127.0.0.1:{self.behind.otlp_port}"}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp", "zipkin"], "exporters": ["otlphttp"]}},
            },
        }

    def wait_until_ready(self) -> None:
        """Waits for both receivers."""
        self.program.wait_for_port(self.otlp_port, timeout=15)
        self.program.wait_for_port(self.zipkin_port, timeout=15)

    def wait(self, trace_count: int, span_count: int, timeout: float) -> list[Trace]:
        """Waits for the spans to come out at the other end."""
        return self.behind.wait(trace_count, span_count, timeout)

    def link(self, trace: Trace) -> str:
        """The text of the built-in collector."""
        return self.behind.link(trace)

    def complaints(self) -> list[str]:
        """What came out and could not be read."""
        return self.behind.complaints()

    def stop(self) -> None:
        """Closes the built-in collector; the program is stopped with the others."""
        self.behind.stop()


def choose_backend(programs: Programs, encoding: str, say: Say) -> Backend:
    """The collector this run uses, by the environment."""
    jar, otelcol = os.environ.get("ZIPKIN_JAR"), os.environ.get("OTELCOL")
    if encoding == "otlp" and otelcol:
        return OpenTelemetryCollector(programs, otelcol)
    if jar and encoding != "otlp":
        return Zipkin(programs, jar)
    if jar:
        say("Zipkin takes no OTLP: the built-in collector is used (set OTELCOL to go through a real one)")
    return BuiltIn()


def screenshot(url: str, file: Path, directory: Path) -> str:
    """Has Chromium draw a page into a PNG; returns what went wrong, or an empty text."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        return "no chromium on the PATH"
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={directory / 'chromium'}", "--window-size=1500,1000", "--virtual-time-budget=10000"]
    try:
        command += [f"--screenshot={file.resolve()}", url]
        done = subprocess.run(command, capture_output=True, timeout=25, check=False)
    except subprocess.TimeoutExpired:
        return "chromium took longer than 25 s"
    return "" if file.exists() else done.stderr.decode("utf-8", "replace")[-400:]
