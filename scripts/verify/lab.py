# SPDX-License-Identifier: Apache-2.0
"""What the checks in this folder share: the proxy as a child process, its figures, and tables.

Standard library only, loopback only, free ports only; every process started here ends with its script.
"""

import argparse
import http.client
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def default_binary():
    """The shipped build if there is one, else the release build."""
    for path in (".build/static/propagating-proxy", ".build/release/propagating-proxy"):
        if (REPOSITORY / path).exists():
            return str(REPOSITORY / path)
    return str(REPOSITORY / ".build/release/propagating-proxy")


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--binary", default=default_binary(), help="the proxy to check (default: %(default)s)")
    return parser


def raise_descriptor_limit(wanted=65_536):
    """As far as this user may; answers the soft limit then in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
        except (ValueError, OSError):
            pass
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    return min(wanted, hard)


class Proxy:
    """The real binary with a configuration of its own."""

    def __init__(self, binary, upstream, exporters=(), workers=1, shutdown="{ drain_delay: 0s }", listener=(),
                 upstream_options=(), further=()):
        self.folder = tempfile.TemporaryDirectory(prefix="propagating-proxy-")
        path = pathlib.Path(self.folder.name) / "proxy.yaml"
        lines = [
            "service: verify", f"workers: {workers}", "listeners:",
            "  - name: front", "    address: 127.0.0.1:0", "    direction: inbound",
            *("    " + line for line in listener),
            "    routes: [ { match: { prefix: / }, upstream: app } ]",
            "upstreams:", "  app:", f"    endpoints: [ \"{upstream[0]}:{upstream[1]}\" ]",
            *("    " + line for line in upstream_options),
            "tracing:", "  sampling: { percent: 100 }",
        ]
        if exporters:
            lines += ["  exporters:", *("    - " + line for line in exporters)]
        lines += ["admin: { address: \"127.0.0.1:0\" }", "log: { level: info, format: text }",
                  f"shutdown: {shutdown}", *further]
        path.write_text("\n".join(lines) + "\n")
        self.log_path = pathlib.Path(self.folder.name) / "log"
        self.started = time.monotonic()
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([binary, "--config", str(path)], stdout=log, stderr=log)
        self.address = self._listening("front")
        self.start_seconds = time.monotonic() - self.started
        self.admin = self._listening("admin")
        deadline = time.monotonic() + 40
        while self.get("/ready")[0] != 200:
            if time.monotonic() > deadline:
                raise RuntimeError("not ready:\n" + self.log)
            time.sleep(0.002)

    @property
    def pid(self):
        return self.process.pid

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def _listening(self, name):
        pattern = re.compile(r"listening .*name=%s\b.*?address=([0-9.]+):(\d+)|listening .*address=([0-9.]+):(\d+).*name=%s\b"
                             % (name, name))
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            found = pattern.search(self.log)
            if found:
                host, port = (found[1], found[2]) if found[1] else (found[3], found[4])
                return host, int(port)
            if self.process.poll() is not None:
                break
            time.sleep(0.0005)
        raise RuntimeError(f"no listener {name}:\n{self.log}")

    def connect(self, receive_buffer=None, timeout=30):
        peer = socket.socket()
        if receive_buffer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer.settimeout(timeout)
        peer.connect(self.address)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return peer

    def get(self, path):
        """From the admin listener: status and text."""
        connection = http.client.HTTPConnection(*self.admin, timeout=40)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except ConnectionError as error:
            ended = self.process.poll()
            if ended is None:
                raise
            raise RuntimeError(f"the proxy has ended with {ended}:\n{self.log[-4000:]}") from error
        finally:
            connection.close()

    def metrics(self):
        """Samples by name with labels, as they stand in the text."""
        return parse_metrics(self.get("/metrics")[1])

    def memory_kib(self, field="VmRSS"):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        return 0

    def reset_peak_memory(self):
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self, timeout=40):
        """SIGTERM; answers the exit status and how long it took."""
        begin = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        return status, time.monotonic() - begin

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


def parse_metrics(text):
    samples = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            samples[name] = float(value)
    return samples


def metric(samples, name, **labels):
    """The sum of all samples of this family with these labels."""
    total = 0.0
    for key, value in samples.items():
        family, _, rest = key.partition("{")
        if family == name or family.endswith("_" + name):
            if all(f'{label}="{wanted}"' in rest for label, wanted in labels.items()):
                total += value
    return total


class Table:
    """Rows printed as they come; the last line says whether all of them hold."""

    def __init__(self, *headings):
        self.widths = [width for _, width in headings]
        self.failures = 0
        self._print([name for name, _ in headings])

    def row(self, holds, *cells):
        self.failures += not holds
        self._print([*cells, "ok" if holds else "FAILED"])

    def _print(self, cells):
        widths = [*self.widths, 0]
        print("  ".join(str(cell).ljust(width) for cell, width in zip(cells, widths)).rstrip(), flush=True)

    def end(self):
        print("all hold" if not self.failures else f"{self.failures} FAILED", flush=True)
        sys.exit(1 if self.failures else 0)
