#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The second tutorial on one machine: gRPC services in a mesh, called by a requestor that knows nothing of tracing.

Starts three gRPC services, their sidecars, an ingress gateway, a collector and propagating-proxy in front of it all, makes
a unary, a server-streaming, a client-streaming and a bidirectional call, and draws the trace of each. Exits 0 only when
every call was answered by all three services and every trace is the one tree expected.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "common"))

import meshconfig
from backends import ENCODINGS, Backend, BuiltIn, Zipkin, choose_backend
from command import Say, find_proxy, keep_until_signal, run_and_clean_up
from envoys import Envoys
from landing import METHODS, SERVICE
from mesh import Mesh, loopback
from names import CHAIN, authority, pictures, span_count
from processes import Program, Programs, StartFailure, free_ports, require_free
from tree import Trace, calls

ZIPKIN_ENCODINGS = [name for name in ENCODINGS if name != "otlp"]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="environment: PROPAGATING_PROXY (the binary), ZIPKIN_JAR (post to a real Zipkin and read back), "
        "ENVOY (the Envoy binary)",
    )
    parser.add_argument("--proxy", help="the propagating-proxy binary (default: the newest build of this checkout)")
    parser.add_argument(
        "--mesh", choices=("envoy", "proxy"), default="envoy", help="who is the gateway and every sidecar"
    )
    parser.add_argument("--edge", choices=("proxy", "envoy"), default="proxy", help="who is in front of the gateway")
    parser.add_argument(
        "--no-forwarding", action="store_true", help="the services do not copy the trace metadata to their own calls"
    )
    parser.add_argument("--encoding", choices=ZIPKIN_ENCODINGS, default="v2-json", help="how the proxy reports its spans")
    parser.add_argument("--call", choices=METHODS, action="append", help="only this call (repeatable; default: all four)")
    parser.add_argument("--port", type=int, default=0, help="the proxy's port (default: a free one)")
    parser.add_argument("--gateway-port", type=int, default=0, help="the gateway's port (default: a free one)")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print one JSON document in place of the pictures")
    return parser.parse_args()


class Run:
    """One run: what was started, what was answered, what was traced."""

    def __init__(self, options: argparse.Namespace, programs: Programs, say: Say) -> None:
        self.options = options
        self.programs = programs
        self.say = say
        self.pictures = pictures(not options.no_forwarding)
        self.methods: list[str] = options.call or list(METHODS)
        self.backend: Backend = choose_backend(programs, options.encoding, say)
        self.proxies: list[tuple[Program, int]] = []

    def start(self) -> int:
        """Starts everything; returns the edge's port."""
        collector = self.backend.zipkin_port
        mesh = Mesh(self.programs, collector, self.options.gateway_port, not self.options.no_forwarding)
        if self.options.mesh == "proxy":
            mesh.start_proxies(self.start_proxy)
        else:
            mesh.start_envoys()
        port, admin = free_ports(2)
        port = self.options.port or port
        if self.options.edge == "proxy":
            environment = {
                "LISTEN_ADDRESS": loopback(port),
                "ADMIN_ADDRESS": loopback(admin),
                "GATEWAY_ADDRESS": loopback(mesh.gateway_port),
            }
            self.start_proxy("edge", environment)
        else:
            edge = Envoys(self.programs)
            edge.start("edge", meshconfig.edge(port, admin, collector, mesh.gateway_port), admin)
            edge.wait_until_ready()
        mesh.wait_until_ready()
        self.backend.wait_until_ready()
        for program, admin in self.proxies:
            program.wait_for_ok(admin, "/ready", timeout=10)
        self.say(f"{self.backend.description}; gateway ({self.options.mesh}) on port {mesh.gateway_port}")
        self.say(f"edge ({self.options.edge}) on port {port}")
        return port

    def start_proxy(self, name: str, environment: dict[str, str]) -> None:
        """Starts propagating-proxy with the configuration file that the name begins with."""
        config = HERE / f"{name.partition('-')[0]}.yaml"
        endpoint = f"http://127.0.0.1:{self.backend.zipkin_port}{ENCODINGS[self.options.encoding]}"
        further = {"ZIPKIN_ENDPOINT": endpoint, "ZIPKIN_ENCODING": self.options.encoding}
        command = [find_proxy(self.options.proxy), "--config", str(config)]
        program = self.programs.start(f"propagating-proxy-{name}", command, environment | further)
        self.proxies.append((program, int(environment["ADMIN_ADDRESS"].rpartition(":")[2])))

    def call(self, port: int) -> list[dict[str, Any]]:
        """Runs the requestor, a program of its own; what it says of each call."""
        command = [sys.executable, str(HERE / "client.py"), loopback(port), *self.methods]
        command += ["--authority", authority(CHAIN[0])]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired as expired:
            raise StartFailure("the requestor did not end within 60 s") from expired
        try:
            return [json.loads(line) for line in done.stdout.splitlines()]
        except ValueError as error:
            raise StartFailure(f"the requestor said {done.stdout[-500:]!r} {done.stderr[-500:]!r}") from error

    def wrong_answers(self, answers: list[dict[str, Any]]) -> list[str]:
        """Calls that did not go through all three services and back."""
        problems = [] if len(answers) == len(self.methods) else [f"{len(self.methods)} calls, {len(answers)} answers"]
        via = " > ".join(CHAIN)
        expected = {"Talk": (1, 1), "TalkOneAnswerMore": (3, 3), "TalkMoreAnswerOne": (1, 3), "TalkBidirectional": (3, 3)}
        for answer in answers:
            method, results = answer["method"], answer.get("results", [])
            if answer["code"] != "OK":
                problems.append(f"{method} ended with {answer['code']}: {answer['details']}")
            elif (answer["responses"], len(results)) != expected[method]:
                problems.append(f"{method} gave {answer['responses']} responses with {len(results)} results")
            elif any(result["via"] != via for result in results):
                problems.append(f"{method} went via {results[0]['via']}, not via {via}")
        return problems

    def wrong_traces(self, traces: list[Trace]) -> list[str]:
        """Traces that are not the picture, or of another call."""
        problems = [f"unreadable report: {text}" for text in self.backend.complaints()]
        if len(traces) != self.trace_count:
            return [*problems, f"{len(self.methods)} calls made {len(traces)} traces, not {self.trace_count}"]
        for method, torn in zip(self.methods, self.by_call(traces)):
            if not all(trace.shows(picture) for trace, picture in zip(torn, self.pictures)):
                problems.append(f"{method}'s trace is not the expected one")
            # Zipkin writes names in small letters.
            names = [root.span.name.lower() for root in torn[0].roots]
            if self.options.edge == "proxy" and names != [f"{SERVICE}/{method}".lower()]:
                problems.append(f"the root of {method}'s trace is named {', '.join(names) or 'nothing'}")
        return problems

    @property
    def trace_count(self) -> int:
        """How many traces all calls together make."""
        return len(self.methods) * len(self.pictures)

    def by_call(self, traces: list[Trace]) -> list[list[Trace]]:
        """The traces of each call: the calls are made one after the other."""
        size = len(self.pictures)
        return [traces[at : at + size] for at in range(0, len(traces), size)]

    def show(self, answers: list[dict[str, Any]], traces: list[Trace]) -> None:
        """A picture for each call, its sentence last."""
        for method, answer, torn in zip(self.methods, answers, self.by_call(traces)):
            words = ", ".join(result["data"] for result in answer.get("results", []))
            self.say(f"\n{method}: {answer['code']}, {answer.get('responses', 0)} responses: {words or '-'}")
            for number, trace in enumerate(torn):
                self.say(("\n" if number else "") + "\n".join(trace.lines()))
                self.say(f"topology: {calls(trace)}")
                if isinstance(self.backend, Zipkin) or self.options.keep:
                    self.say(f"look at it: {self.backend.link(trace)}" + ("" if self.options.keep else " (with --keep)"))
                self.say(trace.summary)

    def document(self, answers: list[dict[str, Any]], traces: list[Trace], problems: list[str]) -> dict[str, Any]:
        """The same for a program to read."""
        return {
            "ok": not problems,
            "problems": problems,
            "backend": self.backend.description,
            "calls": answers,
            "traces": [
                [trace.document(picture) | {"topology": calls(trace)} for trace, picture in zip(torn, self.pictures)]
                for torn in self.by_call(traces)
            ],
        }


def run(options: argparse.Namespace, programs: Programs, say: Say) -> int:
    """The whole run; returns the exit code."""
    started = time.monotonic()
    for port in filter(None, (options.port, options.gateway_port)):
        require_free(port)
    this = Run(options, programs, say)
    try:
        port = this.start()
        answers = this.call(port)
        problems = this.wrong_answers(answers)
        smallest = min(map(span_count, this.pictures))
        traces = this.backend.wait(this.trace_count, smallest, timeout=3.0 if problems else 12.0)
        problems += this.wrong_traces(traces)
        this.show(answers, traces)
        if options.json:
            print(json.dumps(this.document(answers, traces, problems), ensure_ascii=False), flush=True)
        # After the sentences when all is well, which are then the last thing said.
        for problem in problems:
            say(f"wrong: {problem}")
        if problems:
            for program, _ in this.proxies:
                say(f"the end of the log of {program.name}:\n{program.tail()}")
        if options.keep:
            say(f"took {time.monotonic() - started:.1f} s; everything runs until Ctrl-C")
            say(f"call it: {sys.executable} {os.path.relpath(HERE / 'client.py')} {loopback(port)}")
            if this.proxies and not keep_until_signal(this.proxies[-1][0]):
                say("wrong: propagating-proxy ended by itself")
                return 1
        return 1 if problems else 0
    finally:
        this.backend.stop()


def main() -> int:
    """Runs and cleans up, also when a signal ends us."""
    options = arguments()
    return run_and_clean_up("grpc", lambda programs: run(options, programs, Say(options.json)))


if __name__ == "__main__":
    sys.exit(main())
