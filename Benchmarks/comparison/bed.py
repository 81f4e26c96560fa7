"""A test bed: the proxy alone on the last core, upstreams, sink and loads on the others; all of it ends with us."""
import http.client
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
HELPERS = pathlib.Path(__file__).resolve().parent / "helpers"
PATTERN = b"abcdefghijklmnopqrstuvwxyz012345"
SIZES = {"/0k": 20, "/1k": 1024, "/10k": 10240, "/100k": 102400, "/1m": 1048576}  # what the upstream answers
GRPC_MESSAGE = b"\x00" + (100).to_bytes(4, "big") + b"m" * 100  # length-prefixed, not compressed
GRPC_CALLS = {"/bench.Echo/Unary": 1, "/bench.Echo/Stream": 100}  # messages each way
OPEN_FILES = 65536
LIBRARIES = {"upstream_h2": ["-lnghttp2"]}


def body(path):
    size = SIZES[path]
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def which(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def raise_open_files(count=OPEN_FILES):
    """As many descriptors as wanted, or as many as allowed; 10,000 connections need two each at a proxy."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for limit in (max(count, hard), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, limit), limit))
            return
        except (ValueError, OSError):
            continue


class BedError(Exception):
    """Something did not start, or did not answer as it must; the row is thrown out."""


class Bed:
    """Starts programs and ends them; knows the ports of the upstreams and of the sink."""

    def __init__(self, folder):
        self.folder, self.started = pathlib.Path(folder), []
        cores = sorted(os.sched_getaffinity(0))
        self.proxy_cores, self.other_cores = cores[-1:], cores[:-1] or cores
        self.ports, self.helper_pids = {}, []
        raise_open_files()

    # Processes

    def spawn(self, command, cores, env=None, output=subprocess.DEVNULL, last_signal="KILL"):
        """A process on some cores, which ends when we do, however we end."""
        pinned = ["taskset", "-c", ",".join(map(str, cores)), "setpriv", "--pdeathsig", last_signal]  # both become the program
        return subprocess.Popen([*pinned, *map(str, command)], env={**os.environ, **(env or {})},
                                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)

    def start(self, name, command, ports, cores=None, env=None):
        """A program that listens on all these ports when this returns. Ended by SIGTERM, should we die: some have children to end."""
        log = self.folder / f"{name}.log"
        with open(log, "wb") as output:
            process = self.spawn(command, cores or self.other_cores, env, output, "TERM")
        self.started.append(process)
        end = time.monotonic() + 20
        while not all(listens(port) for port in ports):
            if process.poll() is not None or time.monotonic() > end:
                state = f"ended with {process.returncode}" if process.poll() is not None else f"does not listen on {ports}"
                said = log.read_text(errors="replace").strip()[-600:]
                self.stop(process)
                raise BedError(f"{name} {state}: {said}")
            time.sleep(0.02)
        return process

    def stop(self, process):
        """Ends a process that was started, and its children."""
        children = tree(process.pid)[1:]
        if process.poll() is None:
            process.kill()
        process.wait()
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except OSError:
                pass
        if process in self.started:
            self.started.remove(process)

    def end(self):
        for process in list(self.started):
            self.stop(process)

    def run(self, command, timeout):
        """The output of a load, which runs on the other cores."""
        process = self.spawn(command, self.other_cores, output=subprocess.PIPE)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise BedError(f"{command[0]} was not done after {timeout} s") from None
        return output.decode(errors="replace")

    def file(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    # Upstreams and sink

    def prepare(self):
        """The upstreams and the sink, and what they and the peers read from files."""
        self.make_files()
        self.ports = dict(zip(("up", "up_h2", "up_h2_seen", "sink", "closed"), free_ports(5)))
        self.helper("up", [helper("upstream"), self.ports["up"], "replies"])
        self.helper("sink", [helper("upstream"), self.ports["sink"], "sink"])
        self.helper("up_h2", [helper("upstream_h2"), self.ports["up_h2"], self.ports["up_h2_seen"]])

    def helper(self, name, command):
        self.helper_pids.append(self.start(name, command, [self.ports[name]]).pid)

    def make_files(self):
        self.certificate, self.key = str(self.folder / "cert.pem"), str(self.folder / "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", self.key, "-out", self.certificate], check=True, capture_output=True)
        self.both = self.file("both.pem", pathlib.Path(self.certificate).read_bytes() + pathlib.Path(self.key).read_bytes())

    def seen(self, name):
        """What an upstream or the sink has seen so far."""
        return json.loads(fetch(self.ports.get(f"{name}_seen", self.ports[name]), "/__stats")[1])


def tree(pid):
    """A process and all that descend from it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = pathlib.Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            children.setdefault(int(text[text.rindex(")") + 2:].split()[1]), []).append(int(entry))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def fetch(port, path, method="GET", content=None, tls=False, fields=None):
    """One request over a connection of its own: status, body."""
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body=content, headers=fields or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def helper(name):
    """A C helper, built where it is missing or older than its source."""
    made = REPOSITORY / ".build/benchmarks" / name
    sources = [HELPERS / f"{name}.c", *HELPERS.glob("*.h")]
    if not made.exists() or made.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        made.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", f"{made}.new", str(sources[0]), *LIBRARIES.get(name, [])], check=True)
        os.replace(f"{made}.new", made)
    return str(made)
