#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tutorial on one machine: a legacy caller's proxy in front of Bookinfo in a mesh, and one connected trace.

Starts the services, the Envoys, a collector and propagating-proxy on free loopback ports, sends requests through the
proxy, and draws the tree that comes out. Exits 0 only when that is the one tree expected.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "common"))

from backends import ENCODINGS, Backend, BuiltIn, Zipkin, choose_backend, screenshot
from command import Say, find_proxy, keep_until_signal, run_and_clean_up
from mesh import Mesh
from picture import EDGE, PICTURE, SPAN_COUNT
from processes import Program, Programs, free_ports, require_free
from tree import Trace

HERE = Path(__file__).resolve().parent


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="environment: PROPAGATING_PROXY (the binary), ZIPKIN_JAR (post to a real Zipkin and read back), "
        "OTELCOL (with --encoding otlp: go through a real OpenTelemetry Collector), ENVOY (the Envoy binary)",
    )
    parser.add_argument("--proxy", help="the propagating-proxy binary (default: the newest build of this checkout)")
    parser.add_argument("--encoding", choices=ENCODINGS, default="v1-thrift", help="how the proxy reports its spans")
    parser.add_argument("--requests", type=int, default=1, metavar="N", help="how many requests, one trace each")
    parser.add_argument("--port", type=int, default=0, help="the proxy's port (default: a free one)")
    parser.add_argument(
        "--gateway-port", type=int, default=0, help="the gateway's port, e.g. 31990 (default: a free one)"
    )
    parser.add_argument("--reviews", choices=("v2", "v3"), default="v2", help="black or red stars")
    parser.add_argument("--mtls", action="store_true", help="mutual TLS to the gateway, with certificates made for the run")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print one JSON document in place of the picture")
    parser.add_argument("--screenshot", type=Path, metavar="FILE", help="PNG of Zipkin's page of the trace")
    options = parser.parse_args()
    if options.requests < 1:
        parser.error("--requests must be at least 1")
    if options.mtls and options.encoding == "otlp":
        parser.error("--mtls has a configuration for Zipkin's encodings only")
    if options.screenshot and not (os.environ.get("ZIPKIN_JAR") and options.encoding != "otlp"):
        parser.error("--screenshot needs ZIPKIN_JAR and an encoding that Zipkin takes")
    return options


def start_proxy(
    programs: Programs, options: argparse.Namespace, gateway_port: int, backend: Backend, certificates: Path | None
) -> tuple[Program, int]:
    """Starts the proxy with the drop-in configuration; only its environment differs from the tutorial's."""
    port, admin = free_ports(2)
    port = options.port or port
    collector = backend.otlp_port if options.encoding == "otlp" else backend.zipkin_port
    endpoint = f"http://127.0.0.1:{collector}{ENCODINGS[options.encoding]}"
    kind = "-otlp" if options.encoding == "otlp" else "-mtls" if certificates else ""
    config = HERE / f"external-proxy{kind}.yaml"
    program = programs.start(
        "propagating-proxy",
        [find_proxy(options.proxy), "--config", str(config)],
        {
            "LISTEN_ADDRESS": f"127.0.0.1:{port}",
            "ADMIN_ADDRESS": f"127.0.0.1:{admin}",
            "GATEWAY_ADDRESS": f"127.0.0.1:{gateway_port}",
            "ZIPKIN_ENDPOINT": endpoint,
            "ZIPKIN_ENCODING": options.encoding,
            "OTLP_ENDPOINT": endpoint,
            "CERTIFICATES": str(certificates or ""),
        },
    )
    program.wait_for_port(port, timeout=10)
    return program, port


def make_certificates(programs: Programs) -> Path:
    """An authority, and what the gateway and the proxy show each other."""
    directory = programs.directory / "certificates"
    subprocess.run([HERE.parent.parent / "scripts/make-test-certs", directory], check=True)
    return directory


def request_page(port: int) -> str:
    """One request as a legacy caller sends it, without any tracing field; returns what is wrong with the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request("GET", "/", headers={"User-Agent": "legacy-caller/1.0"})
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return f"GET / failed: {error!r}"
    finally:
        connection.close()
    if response.status != 200:
        return f"GET / answered {response.status}: {text[:200]}"
    missing = [part for part in ("Book Details", "William Shakespeare", "Book Reviews", "★") if part not in text]
    return f"GET / answered a page without {', '.join(missing)}" if missing else ""


def check(traces: list[Trace], options: argparse.Namespace, backend: Backend) -> list[str]:
    """Everything that is not as expected."""
    problems = [f"trace {trace.trace_id} is not the expected tree" for trace in traces if not trace.shows(PICTURE)]
    if len(traces) != options.requests:
        problems.append(f"{options.requests} requests made {len(traces)} traces")
    if isinstance(backend, BuiltIn):
        # Through a real backend the format in which a span came is no longer known.
        ours = {span.encoding for trace in traces for span in trace.spans if span.service.lower() == EDGE}
        if ours - {options.encoding}:
            problems.append(f"the proxy reported as {', '.join(sorted(ours))}, not as {options.encoding}")
    return problems + [f"unreadable report: {text}" for text in backend.complaints()]


def worst(traces: list[Trace]) -> Trace | None:
    """The trace to show: the first that is not as expected, else simply the first."""
    return next((trace for trace in traces if not trace.shows(PICTURE)), traces[0] if traces else None)


def sentence(traces: list[Trace]) -> str:
    """The last line."""
    shown = worst(traces)
    return shown.summary if shown else "trace: 0 spans, 0 roots, 0 orphans"


def report(traces: list[Trace], problems: list[str], options: argparse.Namespace, backend: Backend, say: Say) -> None:
    """Prints the picture, or the JSON document."""
    if options.json:
        document = {
            "ok": not problems,
            "summary": sentence(traces),
            "problems": problems,
            "backend": backend.description,
            "traces": [trace.document(PICTURE) for trace in traces],
        }
        print(json.dumps(document, ensure_ascii=False), flush=True)
        return
    shown = worst(traces)
    if shown:
        say()
        say("\n".join(shown.lines()))
        say()
        if len(traces) > 1:
            say(f"{sum(trace.shows(PICTURE) for trace in traces)} of {len(traces)} traces are this tree")
        say(f"trace id: {shown.trace_id}")
        if isinstance(backend, Zipkin) or options.keep:
            say(f"look at it: {backend.link(shown)}" + ("" if options.keep else " (with --keep)"))
    for problem in problems:
        say(f"wrong: {problem}")


def run(options: argparse.Namespace, programs: Programs, say: Say) -> int:
    """The whole run; returns the exit code."""
    started = time.monotonic()
    for port in filter(None, (options.port, options.gateway_port)):
        require_free(port)
    backend = choose_backend(programs, options.encoding, say)
    mesh: Mesh | None = None
    try:
        certificates = make_certificates(programs) if options.mtls else None
        mesh = Mesh(programs, backend.zipkin_port, options.gateway_port, options.reviews, certificates)
        mesh.wait_until_ready()
        backend.wait_until_ready()
        proxy, port = start_proxy(programs, options, mesh.gateway_port, backend, certificates)
        say(f"{backend.description}; gateway on port {mesh.gateway_port}")
        say(f"propagating-proxy on port {port}, reporting {options.encoding}")
        problems = [problem for problem in (request_page(port) for _ in range(options.requests)) if problem]
        traces = backend.wait(options.requests, SPAN_COUNT, timeout=2.0 if problems else 12.0)
        problems += check(traces, options, backend)
        report(traces, problems, options, backend, say)
        if problems:
            say(f"the end of the proxy's log:\n{proxy.tail()}")
        if options.screenshot and traces:
            failure = screenshot(backend.link(traces[0]), options.screenshot, programs.directory)
            say(failure and f"wrong: no screenshot: {failure}" or f"screenshot: {options.screenshot}")
            problems += [failure] if failure else []
        keep = f"; everything runs until Ctrl-C: curl http://127.0.0.1:{port}/" if options.keep else ""
        say(f"took {time.monotonic() - started:.1f} s{keep}")
        say(sentence(traces))
        if options.keep and not keep_until_signal(proxy):
            say(f"wrong: propagating-proxy ended by itself:\n{proxy.tail()}")
            return 1
        return 1 if problems else 0
    finally:
        if mesh is not None:
            mesh.stop()
        backend.stop()


def main() -> int:
    """Runs and cleans up, also when a signal ends us."""
    options = arguments()
    return run_and_clean_up("bookinfo", lambda programs: run(options, programs, Say(options.json)))


if __name__ == "__main__":
    sys.exit(main())
