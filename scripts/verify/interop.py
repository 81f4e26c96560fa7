#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The gRPC interop cases (Tests/IntegrationTests/Cases/grpc_interop.py) through the proxy, or for comparison a real Envoy.

  interop.py [--binary FILE | --envoy] [case …]
"""

import contextlib
import pathlib
import socket
import subprocess
import sys
import tempfile

import lab

CASES = lab.REPOSITORY / "Tests/IntegrationTests/Cases/grpc_interop.py"


@contextlib.contextmanager
def our_proxy(binary, upstream_port):
    options = ["protocol: http2", "max_requests: 4096"]
    proxy = lab.Proxy(binary, ("127.0.0.1", upstream_port), workers=2, upstream_options=options)
    try:
        yield proxy.address[1]
    finally:
        proxy.stop()


@contextlib.contextmanager
def real_envoy(upstream_port):
    sys.path.insert(0, str(lab.REPOSITORY / "examples/common"))
    import envoyconfig
    from envoys import Envoys
    from processes import Programs, free_ports

    port, admin, nobody = free_ports(3)
    routes = [envoyconfig.route({"prefix": "/"}, "app", "app")]
    front = envoyconfig.listener(
        "front", port, "OUTBOUND", stat_prefix="front", hosts=[envoyconfig.host("app", ["*"], routes)],
        spawn_upstream_span=True, random_sampling=100)
    app = envoyconfig.cluster("app", upstream_port, http2=True)
    with tempfile.TemporaryDirectory() as directory, Programs(pathlib.Path(directory)) as programs:
        envoys = Envoys(programs)
        envoys.start("front", envoyconfig.node("front", admin, nobody, [front], [app]), admin)
        envoys.wait_until_ready()
        yield port


def main():
    parser = lab.arguments(__doc__.splitlines()[0])
    parser.add_argument("--envoy", action="store_true", help="a real Envoy in the proxy's place")
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        upstream_port = held.getsockname()[1]
    proxy = real_envoy(upstream_port) if options.envoy else our_proxy(options.binary, upstream_port)
    with proxy as port:
        command = [sys.executable, "-u", "-B", str(CASES), "--upstream-port", str(upstream_port)]
        command += ["--proxy", f"127.0.0.1:{port}"]
        command += ["--may-add", "x-envoy-,date,server"] if options.envoy else []
        command += [word for name in options.cases for word in ("--case", name)]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
