#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's Go and Java gRPC through the proxy: callers and servers of both, and grpcio's server, in every pairing.

Each pairing makes the same nine calls directly and through the proxy; what the caller sees must be the same. Needs
apt-get install golang-go golang-google-grpc-dev libgrpc-java libnetty-java libguava-java libperfmark-java default-jdk-headless
or, with --debian DIR, those packages unpacked there (dpkg -x). What is missing is told and left out. Debian has no gRPC for Node.
"""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

import interop
import lab

HERE = pathlib.Path(__file__).resolve().parent
CODES = {
    "unary": 0, "metadata": 0, "server_streaming": 0, "client_streaming": 0, "ping_pong": 0, "failure": 9, "cancel": 1,
    "deadline": 4, "unimplemented": 12,
}


def build_go(root, folder):
    """The command of the Go peer, or what is missing."""
    go = next(filter(os.path.exists, [f"{root}/usr/lib/go-1.19/bin/go"]), None) or shutil.which("go")
    packages = pathlib.Path(root, "usr/share/gocode")
    if not go or not (packages / "src/google.golang.org/grpc").exists():
        return "no Go, or no golang-google-grpc-dev"
    environment = {
        "PATH": os.environ["PATH"], "HOME": folder, "GO111MODULE": "off", "GOPATH": str(packages), "GOCACHE": f"{folder}/go",
    }
    command = [go, "build", "-o", f"{folder}/peer-go", str(HERE / "peers/peer.go")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return [f"{folder}/peer-go"] if done.returncode == 0 else done.stderr


def build_java(root, folder):
    """The command of the Java peer, or what is missing."""
    wanted = ("grpc", "netty", "guava", "perfmark", "gson", "failureaccess", "jsr305", "jctools")
    jars = [str(jar) for jar in pathlib.Path(root, "usr/share/java").glob("*.jar") if jar.name.startswith(wanted)]
    if not shutil.which("javac") or not any("grpc-netty" in jar for jar in jars):
        return "no javac, or no libgrpc-java and libnetty-java"
    path = ":".join([folder, *jars])
    command = ["javac", "-d", folder, "-cp", path, str(HERE / "peers/Peer.java")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return ["java", "-cp", path, "Peer"] if done.returncode == 0 else done.stderr


@contextlib.contextmanager
def serving(command, port):
    server = subprocess.Popen([*command, str(port)], stdout=subprocess.PIPE)
    try:
        server.stdout.readline()
        yield
    finally:
        server.kill()
        server.wait()


def calls(command, port):
    """What the caller saw, by case."""
    done = subprocess.run(
        [*command, "client", f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=120, check=False)
    found = {}
    for line in done.stdout.splitlines():
        document = json.loads(line)
        found[document.pop("case")] = document
    return found or {"problem": done.stderr[-500:]}


def wrong(direct, proxied):
    """Cases that are not equal, or not what they have to be."""
    unequal = [name for name in {*direct, *proxied} if direct.get(name) != proxied.get(name)]
    unexpected = [name for name, code in CODES.items() if proxied.get(name, {}).get("code") != code]
    return sorted({*unequal, *unexpected})


def main():
    parser = lab.arguments(__doc__.splitlines()[0])
    parser.add_argument("--debian", default="/", help="where the packages are unpacked (default: %(default)s)")
    parser.add_argument("--envoy", action="store_true", help="a real Envoy in the proxy's place")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="propagating-proxy-peers-") as folder:
        peers = {"go": build_go(options.debian, folder), "java": build_java(options.debian, folder)}
        for name, peer in list(peers.items()):
            if isinstance(peer, str):
                print(f"left out: {name}: {peer}")
                del peers[name]
        servers = {name: [*command, "server"] for name, command in peers.items()}
        servers["python"] = [sys.executable, "-u", "-B", str(interop.CASES), "--serve"]
        table = lab.Table(("caller", 8), ("server", 8), ("calls that are the same", 50))
        for server, command in servers.items():
            with socket.socket() as held:
                held.bind(("127.0.0.1", 0))
                port = held.getsockname()[1]
            front = interop.real_envoy(port) if options.envoy else interop.our_proxy(options.binary, port)
            with serving(command, port), front as proxy_port:
                for name, caller in peers.items():
                    bad = wrong(calls(caller, port), calls(caller, proxy_port))
                    table.row(not bad, name, server, f"{len(CODES) - len(bad)} of {len(CODES)} {' '.join(bad)}")
        table.end()


if __name__ == "__main__":
    main()
