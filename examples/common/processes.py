# SPDX-License-Identifier: Apache-2.0
"""Starts programs, waits until they are there, and stops exactly those, whatever happened in between."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Callable


class StartFailure(RuntimeError):
    """A program did not come up; the text names it and shows the end of its log."""


def free_ports(count: int) -> list[int]:
    """Loopback ports nobody listens on at this moment, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [held.getsockname()[1] for held in sockets]
    finally:
        for held in sockets:
            held.close()


def require_free(port: int) -> None:
    """Refuses a port that is in use: with SO_REUSEPORT two programs would share it, and each get half of the requests."""
    with socket.socket() as probe:
        # Connections of an earlier run that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StartFailure(f"port {port} on 127.0.0.1: {error.strerror}") from error


@dataclass
class Program:
    """One running program and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self) -> str:
        """The end of its log, indented."""
        lines = self.log.read_text("utf-8", "replace").splitlines()[-15:]
        return "\n".join(f"    {line}" for line in lines)

    def wait_for_port(self, port: int, timeout: float) -> None:
        """Returns when something accepts on that port; no request is sent, so nothing gets traced."""

        def accepts() -> bool:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True

        self._wait(accepts, f"does not accept on port {port}", timeout)

    def wait_for_ok(self, port: int, path: str, timeout: float) -> None:
        """Returns when GET `path` answers 200."""

        def answers() -> bool:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            try:
                connection.request("GET", path)
                return connection.getresponse().status == 200
            finally:
                connection.close()

        self._wait(answers, f"does not answer {path} on port {port} with 200", timeout)

    def _wait(self, is_there: Callable[[], bool], problem: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            if self.process.poll() is not None:
                raise StartFailure(f"{self.name} exited with {self.process.returncode}:\n{self.tail()}")
            try:
                if is_there():
                    return
            except (OSError, http.client.HTTPException):
                pass
            if time.monotonic() >= deadline:
                raise StartFailure(f"{self.name} {problem} after {timeout:.0f} s:\n{self.tail()}")
            time.sleep(0.03)


@dataclass
class Programs:
    """Everything this run started. Leaving the `with` block stops it, by process id, newest first."""

    directory: Path
    running: list[Program] = field(default_factory=list)

    def start(self, name: str, command: list[str], environment: dict[str, str] | None = None) -> Program:
        """Starts a program in a session of its own, so that Ctrl-C reaches us alone and we stop it in order."""
        log = self.directory / f"{name}.log"
        try:
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,
                )
        except OSError as error:
            raise StartFailure(f"{name}: {error}") from error
        program = Program(name, process, log)
        self.running.append(program)
        return program

    def __enter__(self) -> Programs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        programs = self.running[::-1]
        for program in programs:
            if program.process.poll() is None:
                program.process.terminate()
        # A second signal tells the proxy to stop without draining; a third cannot be refused.
        for seconds, again in ((1.0, "terminate"), (3.0, "kill")):
            deadline = time.monotonic() + seconds
            for program in programs:
                try:
                    program.process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    getattr(program.process, again)()
        for program in programs:
            program.process.wait()
        self.running.clear()
