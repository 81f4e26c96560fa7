# SPDX-License-Identifier: Apache-2.0
"""Bookinfo in a mesh on one machine: four services, a real Envoy beside each, and one as the ingress gateway."""

from __future__ import annotations

from pathlib import Path

import meshconfig
from envoyconfig import Config, mutual_tls
from envoys import Envoys
from processes import Programs, free_ports
from productpage import productpage
from services import details, ratings, reviews
from webapp import Address, App

CALLS = {"details": (), "ratings": (), "reviews": ("ratings",), "productpage": ("details", "reviews", "ratings")}


def gateway_tls(certificates: Path) -> Config:
    """Mutual TLS with what scripts/make-test-certs has made there."""
    files = (certificates / name for name in ("server-ecdsa.pem", "server-ecdsa.key", "root.pem"))
    return mutual_tls(*map(str, files))


class Mesh:
    """The running mesh; `gateway_port` is the way in."""

    def __init__(
        self, programs: Programs, collector_port: int, gateway_port: int, reviews_version: str, certificates: Path | None
    ) -> None:
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
        self._envoys = Envoys(programs)
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
            self._envoys.start(f"sidecar-{name}", config, admin)
        admin = next(ports)
        config = meshconfig.gateway(
            self.gateway_port, admin, collector_port, inbound["productpage"], certificates and gateway_tls(certificates)
        )
        self._envoys.start("gateway", config, admin)

    def wait_until_ready(self) -> None:
        """Waits for every Envoy."""
        self._envoys.wait_until_ready()

    def stop(self) -> None:
        """Closes the services; the Envoys are stopped with the other programs."""
        for app in self.apps.values():
            app.stop()
