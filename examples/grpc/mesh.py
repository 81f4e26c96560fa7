# SPDX-License-Identifier: Apache-2.0
"""The gRPC mesh on one machine: three services, each with a sidecar, and an ingress gateway; Envoys or propagating-proxy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Callable

import meshconfig
from envoys import Envoys
from names import CHAIN, authority, workload
from processes import Program, Programs, free_ports

HERE = Path(__file__).resolve().parent
StartProxy = Callable[[str, dict[str, str]], None]
"""Starts propagating-proxy with a configuration file of this folder, under that environment."""


class Mesh:
    """The running mesh; `gateway_port` is the way in."""

    def __init__(self, programs: Programs, collector_port: int, gateway_port: int, forwarding: bool) -> None:
        ports = iter(free_ports(4 * len(CHAIN) + 2))
        self.app = {name: next(ports) for name in CHAIN}
        self.inbound = {name: next(ports) for name in CHAIN}
        self.outbound = {name: next(ports) for name in CHAIN}
        self.gateway_port = gateway_port or next(ports)
        self._ports = ports
        self._collector_port = collector_port
        self._programs = programs
        self._envoys: Envoys | None = None
        # With 0 % no sidecar starts a trace by itself: a trace that is there shows that the edge's decision was obeyed on
        # every hop. Where the services drop the decision, the pieces of the torn trace are to be seen.
        self._sampling = 0 if forwarding else 100
        self.services = [self._start_service(name, forwarding) for name in CHAIN]

    def start_envoys(self) -> None:
        """A real Envoy as the gateway and beside every service."""
        self._envoys = envoys = Envoys(self._programs)
        for name in CHAIN:
            admin = next(self._ports)
            callee = _next(name)
            config = meshconfig.sidecar(
                name,
                inbound=self.inbound[name],
                outbound=self.outbound[name],
                admin=admin,
                collector=self._collector_port,
                app=self.app[name],
                next_service=(callee, self.inbound[callee]) if callee else None,
                sampling=self._sampling,
            )
            envoys.start(f"sidecar-{name}", config, admin)
        admin = next(self._ports)
        first = CHAIN[0]
        config = meshconfig.gateway(self.gateway_port, admin, self._collector_port, first, self.inbound[first])
        envoys.start("gateway", config, admin)

    def start_proxies(self, start: StartProxy) -> None:
        """Propagating-proxy as the gateway and beside every service."""
        for name in CHAIN:
            callee = _next(name)
            environment = {
                "SERVICE_NAME": workload(name),
                "INBOUND_ADDRESS": loopback(self.inbound[name]),
                "OUTBOUND_ADDRESS": loopback(self.outbound[name]),
                "APP_ADDRESS": loopback(self.app[name]),
                "SAMPLING_PERCENT": str(self._sampling),
                "ADMIN_ADDRESS": loopback(next(self._ports)),
            }
            if callee:
                environment |= {"NEXT_SERVICE": workload(callee), "NEXT_ADDRESS": loopback(self.inbound[callee])}
            start(f"sidecar-{name}", environment)
        environment = {
            "LISTEN_ADDRESS": loopback(self.gateway_port),
            "SVC1_ADDRESS": loopback(self.inbound[CHAIN[0]]),
            "ADMIN_ADDRESS": loopback(next(self._ports)),
        }
        start("gateway", environment)

    def wait_until_ready(self) -> None:
        """Waits for every service, sidecar and the gateway."""
        for name, service in zip(CHAIN, self.services):
            service.wait_for_port(self.app[name], timeout=15)
        if self._envoys:
            self._envoys.wait_until_ready()

    def _start_service(self, name: str, forwarding: bool) -> Program:
        environment = {
            "GRPC_HELLO_NAME": name,
            "GRPC_HELLO_PORT": str(self.app[name]),
            "GRPC_HELLO_FORWARD": "Y" if forwarding else "N",
        }
        callee = _next(name)
        if callee:
            # The application calls its sidecar's port knowingly, where in a pod iptables would lead it there.
            environment |= {
                "GRPC_HELLO_BACKEND": "127.0.0.1",
                "GRPC_HELLO_BACKEND_PORT": str(self.outbound[name]),
                "GRPC_HELLO_AUTHORITY": authority(callee),
            }
        return self._programs.start(name, [sys.executable, "-u", str(HERE / "service.py")], environment)


def loopback(port: int) -> str:
    """As configurations write it."""
    return f"127.0.0.1:{port}"


def _next(name: str) -> str | None:
    position = CHAIN.index(name) + 1
    return CHAIN[position] if position < len(CHAIN) else None
