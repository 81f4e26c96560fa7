#!/usr/bin/env python3
"""CPU per request and per handshake over TLS 1.3 (ECDSA P-256), and memory of idle connections, side by side with nginx and HAProxy.

  Benchmarks/tls.py [--proxy BINARY] [--rounds 7] [--seconds 3] [--scenario NAME]... [--peer NAME]... [--idle 2000]

Each proxy runs alone on the last core, everything else on the others; the proxies take turns, round by round. Reported is the CPU time the kernel
accounts to the proxy's threads (schedstat): median over the rounds with smallest and largest, and its ratio to ours. Ours traces every request and
reports all spans; the others trace nothing. A row with a reply that is not 200, or with a session that was resumed when it should not have been or the
other way round, is thrown out. Compare rows of one run only. Needs, from Debian: wrk, nginx-light, openssl, util-linux; haproxy if it is to be compared.
"""
import argparse
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

from bed import BODY, REPOSITORY, Bed, cpu_nanoseconds, free_ports, wait_for, which

REQUEST = b"GET /0k HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /0k HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def context():
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return made


def answer(connection):
    """Reads one response whole."""
    got = b""
    while not got.endswith(BODY):
        more = connection.recv(4096)
        if not more:
            raise SystemExit(f"no whole response: {got[:80]}")
        got += more
    if not got.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"no 200: {got[:80]}")


def handshakes(port, seconds, resumes):
    """One connection after another, each with one request; prints how many. Run as a process of its own, on a core of its own."""
    made, session, count = context(), None, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with made.wrap_socket(socket.create_connection(("127.0.0.1", port)), session=session if resumes else None) as connection:
            connection.sendall(LAST)
            answer(connection)
            if count and connection.session_reused != resumes:
                raise SystemExit(f"resumed: {connection.session_reused}")
            session = connection.session
        count += 1
    print(count)


class Bench(Bed):
    def __init__(self, options, folder):
        super().__init__(folder)
        self.options = options

    def prepare(self):
        certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                       "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                       "-keyout", str(self.folder / "key.pem"), "-out", str(self.folder / "cert.pem")]
        subprocess.run(certificate, check=True, capture_output=True)
        self.file("both.pem", (self.folder / "cert.pem").read_text() + (self.folder / "key.pem").read_text())
        self.up, self.spans = self.upstream(), self.sink()

    # Each gives its command and its port.

    def ours(self):
        port, admin = free_ports(2)
        config = self.file("ours.yaml", f"""service: bench
workers: 1
listeners:
  - name: a
    address: "127.0.0.1:{port}"
    tls: {{ certificates: [{{ certificate: "{self.folder}/cert.pem", key: "{self.folder}/key.pem" }}] }}
    routes: [{{ upstream: app }}]
upstreams:
  app: {{ endpoints: ["127.0.0.1:{self.up}"] }}
tracing: {{ sampling: {{ percent: 100 }}, exporters: [{{ zipkin: {{ endpoint: "http://127.0.0.1:{self.spans}/api/v2/spans", encoding: v2-proto }} }}] }}
admin: {{ address: "127.0.0.1:{admin}" }}
log: {{ level: error }}
""")
        return [self.options.proxy, "--config", config], port

    def nginx_peer(self):
        port, = free_ports(1)
        return self.nginx("nginx", f"""ssl_certificate {self.folder}/cert.pem; ssl_certificate_key {self.folder}/key.pem;
ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:s:10m; ssl_session_tickets on;
upstream up {{ server 127.0.0.1:{self.up}; keepalive 4096; keepalive_requests 1000000000; }}
server {{ listen 127.0.0.1:{port} ssl backlog=4096;
location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}"""), port

    def haproxy(self):
        port, = free_ports(1)
        config = self.file("haproxy.cfg", f"""global
  nbthread 1
  maxconn 8000
  no strict-limits
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
listen a
  bind 127.0.0.1:{port} ssl crt {self.folder}/both.pem alpn h2,http/1.1 backlog 4096
  server s 127.0.0.1:{self.up} pool-max-conn -1
""")
        return [which("haproxy"), "-db", "-f", config], port

    def targets(self):
        for name, make in {"ours": self.ours, "nginx": self.nginx_peer, "haproxy": self.haproxy}.items():
            if name == "ours" or which(name) and name in (self.options.peer or [name]):
                yield name, make

    # Each gives what was done in some seconds.

    def keep_alive(self, port, seconds):
        out = subprocess.run(["taskset", "-c", self.other_cores, "wrk", "-t1", "-c64", f"-d{seconds}", f"https://127.0.0.1:{port}/0k"],
                             capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
        if "Non-2xx" in out or "Socket errors" in out:
            raise RuntimeError(out)
        return int(re.search(r"(\d+) requests in", out)[1])

    def connect(self, port, seconds, resumes):
        out = subprocess.run(["taskset", "-c", self.other_cores, sys.executable, __file__, "--handshakes", str(port), str(seconds), str(int(resumes))],
                             capture_output=True, text=True, timeout=seconds + 60)
        if out.returncode:
            raise RuntimeError(out.stderr)
        return int(out.stdout)

    def measure(self, name, make, scenario):
        """CPU microseconds a request or handshake; KiB an idle connection."""
        command, port = make()
        process = self.start(command, self.proxy_core)
        try:
            wait_for(port)
            if scenario == "idle":
                return self.idle(process, port)
            work = {"keep-alive": self.keep_alive, "handshake": lambda *given: self.connect(*given, False),
                    "resumption": lambda *given: self.connect(*given, True)}[scenario]
            work(port, 1)
            before = cpu_nanoseconds(process.pid)
            done = work(port, self.options.seconds)
            return (cpu_nanoseconds(process.pid) - before) / 1000 / done
        except RuntimeError as fault:
            print(f"thrown out, {scenario} by {name}: {str(fault)[-300:]}", flush=True)
            return None
        finally:
            self.stop(process)

    def idle(self, process, port):
        made = context()

        def opened():
            connection = made.wrap_socket(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(REQUEST)
            answer(connection)
            return connection

        held = [opened() for _ in range(64)]  # what is made once
        before = resident_kibibytes(process.pid)
        held += [opened() for _ in range(self.options.idle)]
        time.sleep(0.5)
        grown = resident_kibibytes(process.pid) - before
        for connection in held[::100]:
            connection.sendall(REQUEST)
            answer(connection)
        for connection in held:
            connection.close()
        return grown / self.options.idle

    def run(self):
        self.prepare()
        for scenario in self.options.scenario or ["keep-alive", "handshake", "resumption", "idle"]:
            rows = {}
            for _ in range(self.options.rounds if scenario != "idle" else 1):
                for name, make in self.targets():
                    if (value := self.measure(name, make, scenario)) is not None:
                        rows.setdefault(name, []).append(value)
            show(scenario, rows)


def resident_kibibytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


def show(scenario, rows):
    unit = "KiB a connection" if scenario == "idle" else "CPU us"
    print(f"\n### TLS 1.3, {scenario}\n\n| proxy | runs | {unit} | smallest to largest | ratio of ours |\n|---|---|---|---|---|")
    ours = statistics.median(rows["ours"]) if rows.get("ours") else None
    for name, values in rows.items():
        median = statistics.median(values)
        ratio = f"{ours / median:.3f}" if ours else "-"
        print(f"| {name} | {len(values)} | {median:.2f} | {min(values):.2f} to {max(values):.2f} | {ratio} |", flush=True)


def main():
    if sys.argv[1:2] == ["--handshakes"]:
        return handshakes(int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] == "1")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proxy", default=str(REPOSITORY / ".build/release/propagating-proxy"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--scenario", action="append", choices=["keep-alive", "handshake", "resumption", "idle"])
    parser.add_argument("--peer", action="append", choices=["haproxy", "nginx"])
    options = parser.parse_args()
    for program in ("wrk", "nginx", "openssl", "taskset"):
        if not which(program):
            raise SystemExit(f"{program} is needed: apt-get install wrk nginx-light openssl util-linux")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, folder)
        try:
            bench.run()
        finally:
            bench.end()


if __name__ == "__main__":
    main()
