#!/usr/bin/env python3
"""CPU per request over HTTP/2 with prior knowledge, side by side with nghttpx, HAProxy and nginx.

  Benchmarks/h2load.py [--proxy BINARY] [--rounds 5] [--seconds 2] [--scenario NAME]... [--peer NAME]...

Each proxy runs alone on the last core, the upstreams (nginx for HTTP/1.1, nghttpd for HTTP/2), the sink of the spans and h2load on
the others; the proxies take turns, round by round. Reported is the CPU time the kernel accounts to the proxy's threads (schedstat), its median over the rounds with
the smallest and largest, and its ratio to the first peer. Ours traces every request and reports all spans; the others trace nothing. A row whose
replies were not all 200 is thrown out. Compare rows of one run only. Needs, from Debian: nghttp2-client, nghttp2-server, nginx-light; peers that are absent are left out.
"""
import argparse
import re
import statistics
import subprocess
import tempfile

from bed import BODY, REPOSITORY, Bed, cpu_nanoseconds, free_ports, peak_mebibytes, wait_for, which

# name: (h2load's arguments, the proxy's port for it)
SCENARIOS = {
    "h2c>h1": (["-c16", "-m32"], "h1"),
    "h2c>h1 1 stream": (["-c64", "-m1"], "h1"),
    "h2c>h2c": (["-c16", "-m32"], "h2"),
    "h2c>h2c 1 stream": (["-c64", "-m1"], "h2"),
}


class Bench(Bed):
    def __init__(self, options, folder):
        super().__init__(folder)
        self.options = options

    def upstreams(self):
        (self.folder / "www").mkdir()
        (self.folder / "www" / "0k").write_bytes(BODY)
        self.up1, self.spans, (self.up2,) = self.upstream(), self.sink(), free_ports(1)
        self.start([which("nghttpd"), "--no-tls", "-a", "127.0.0.1", "-d", str(self.folder / "www"), "-m", "1000", str(self.up2)])
        wait_for(self.up2)

    # Each gives its command and its port by upstream.

    def ours(self):
        h1, h2, admin = free_ports(3)
        config = self.file("ours.yaml", f"""service: bench
workers: 1
listeners:
  - {{ name: a, address: "127.0.0.1:{h1}", routes: [{{ upstream: app1 }}] }}
  - {{ name: b, address: "127.0.0.1:{h2}", routes: [{{ upstream: app2 }}] }}
upstreams:
  app1: {{ endpoints: ["127.0.0.1:{self.up1}"] }}
  app2: {{ endpoints: ["127.0.0.1:{self.up2}"], protocol: http2 }}
tracing: {{ sampling: {{ percent: 100 }}, exporters: [{{ zipkin: {{ endpoint: "http://127.0.0.1:{self.spans}/api/v2/spans", encoding: v2-proto }} }}] }}
admin: {{ address: "127.0.0.1:{admin}" }}
log: {{ level: error }}
""")
        return [self.options.proxy, "--config", config], {"h1": h1, "h2": h2}

    def nghttpx(self, upstream):
        port, = free_ports(1)
        backend = f"127.0.0.1,{self.up1};;proto=http/1.1" if upstream == "h1" else f"127.0.0.1,{self.up2};;proto=h2"
        return [which("nghttpx"), "--conf=/dev/null", "--workers=1", "--single-process", f"--frontend=127.0.0.1,{port};no-tls", f"--backend={backend}",
                "--backend-connections-per-host=20000", "--backend-keep-alive-timeout=3600", "--log-level=ERROR"], {upstream: port}

    def haproxy(self):
        h1, h2 = free_ports(2)
        config = self.file("haproxy.cfg", f"""global
  nbthread 1
  maxconn 8000
  no strict-limits
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
listen a
  bind 127.0.0.1:{h1} proto h2
  server s 127.0.0.1:{self.up1} pool-max-conn -1
listen b
  bind 127.0.0.1:{h2} proto h2
  server s 127.0.0.1:{self.up2} proto h2 pool-max-conn -1
""")
        return [which("haproxy"), "-db", "-f", config], {"h1": h1, "h2": h2}

    def nginx_peer(self):
        port, = free_ports(1)
        return self.nginx("nginx", f"""upstream up {{ server 127.0.0.1:{self.up1}; keepalive 4096; keepalive_requests 1000000000; }}
server {{ listen 127.0.0.1:{port} http2; http2_max_requests 1000000000;
location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}"""), {"h1": port}

    def targets(self):
        made = {"ours": self.ours, "nghttpx": lambda: self.nghttpx("h1"), "nghttpx to h2": lambda: self.nghttpx("h2"),
                "haproxy": self.haproxy, "nginx": self.nginx_peer}
        for name, make in made.items():
            program = name.split()[0]
            if program != "ours" and (not which(program) or self.options.peer and program not in self.options.peer):
                continue
            yield name, make

    def measure(self, target, scenario):
        """CPU microseconds a request, requests a second, peak resident MiB; None if the row does not count."""
        arguments, upstream = SCENARIOS[scenario]
        command, ports = target()
        if upstream not in ports:
            return None
        process = self.start(command, self.proxy_core)
        try:
            wait_for(ports[upstream])
            url = f"http://127.0.0.1:{ports[upstream]}/0k"
            load(arguments, 1, url, self.other_cores)
            before = cpu_nanoseconds(process.pid)
            done, rate, fault = load(arguments, self.options.seconds, url, self.other_cores)
            used = cpu_nanoseconds(process.pid) - before
            if fault:
                print(f"thrown out, {scenario} by {command[0]}: {fault}", flush=True)
                return None
            return used / 1000 / done, rate, peak_mebibytes(process.pid)
        finally:
            self.stop(process)

    def run(self):
        self.upstreams()
        for scenario in self.options.scenario or SCENARIOS:
            rows = {}
            for _ in range(self.options.rounds):
                for name, target in self.targets():
                    if row := self.measure(target, scenario):
                        rows.setdefault(name, []).append(row)
            show(scenario, rows)


def load(arguments, seconds, url, cores):
    """Requests done, their rate, and why they do not count if they do not."""
    out = subprocess.run(["taskset", "-c", cores, "h2load", *arguments, "-t1", f"-D{seconds}", "--warm-up-time=0", url],
                         capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    succeeded = int(re.search(r"(\d+) succeeded", out)[1])
    good = int(re.search(r"(\d+) 2xx", out)[1])
    rate = float(re.search(r"([\d.]+) req/s", out)[1])
    failed = re.search(r"(\d+) failed, (\d+) errored", out)
    if good < succeeded or not succeeded or failed.groups() != ("0", "0"):
        return 0, rate, "; ".join(line for line in out.splitlines() if line.startswith(("requests:", "status codes:")))
    return succeeded, rate, None


def show(scenario, rows):
    print(f"\n### {scenario}: h2load {' '.join(SCENARIOS[scenario][0])}\n")
    print("| proxy | runs | CPU us a request | smallest to largest | ratio of ours | requests/s | peak MiB |")
    print("|---|---|---|---|---|---|---|")
    ours = statistics.median(row[0] for row in rows["ours"]) if rows.get("ours") else None
    for name, runs in rows.items():
        cpu = sorted(row[0] for row in runs)
        median = statistics.median(cpu)
        ratio = f"{ours / median:.2f}" if ours else "-"
        print(f"| {name} | {len(runs)} | {median:.1f} | {cpu[0]:.1f} to {cpu[-1]:.1f} | {ratio} "
              f"| {statistics.median(row[1] for row in runs):.0f} | {max(row[2] for row in runs):.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proxy", default=str(REPOSITORY / ".build/release/propagating-proxy"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS))
    parser.add_argument("--peer", action="append", choices=["nghttpx", "haproxy", "nginx"])
    options = parser.parse_args()
    for program in ("h2load", "nghttpd", "nginx", "taskset"):
        if not which(program):
            raise SystemExit(f"{program} is needed: apt-get install nghttp2-client nghttp2-server nginx-light util-linux")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, folder)
        try:
            bench.run()
        finally:
            bench.end()


if __name__ == "__main__":
    main()
