#!/usr/bin/env python3
"""Instructions, allocations and reference counts a request costs the worker thread, counted by callgrind and held against Benchmarks/budgets.json.

  Benchmarks/instructions.py [--proxy BINARY] [--requests 8000] [--shape NAME]... [--write]

Fails if a shape takes 3 % more instructions than its budget, or a reference count or an allocation in two requests more. Counts do not depend on how busy
the machine is; they depend a little on the versions of libc, libevent, nghttp2 and OpenSSL. --write makes the counts the new budgets. The binary needs its
symbols: the default is what scripts/build-static leaves before it strips. Needs, from Debian: valgrind, nghttp2-client, nghttp2-server, nginx-light, openssl.
"""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import tempfile
import time

from bed import BODY, REPOSITORY, Bed, free_ports, wait_for, which

BUDGETS = REPOSITORY / "Benchmarks/budgets.json"
TOLERANCE = 1.03
FIELDS = [f"-HX-Field-{number}: value of field {number}" for number in range(16)]
# name: (h2load's arguments, the listener)
SHAPES = {
    "GET": (["--h1", "-c16"], "plain"),
    "GET with 16 more fields": (["--h1", "-c16", *FIELDS], "plain"),
    "POST 10 KiB": (["--h1", "-c16", "-d", "{folder}/body"], "plain"),
    "GET over h2c": (["-c16", "-m32"], "plain"),
    "GET over h2c to h2c": (["-c16", "-m32"], "h2"),
    "GET over TLS 1.3": (["--h1", "-c16"], "tls"),
}
COUNTED = {
    "allocations": re.compile(r"^(malloc|calloc|realloc|posix_memalign|aligned_alloc)('\d+)?$"),
    "references": re.compile(r"^swift_(retain|release|unknownObjectRetain|bridgeObjectRetain|unownedRetain)(_n)?('\d+)?$"),
}


def default_proxy():
    found = sorted(REPOSITORY.glob(".build/static/scratch/*/release/propagating-proxy"))
    return str(found[0]) if found else str(REPOSITORY / ".build/release/propagating-proxy")


class Profile:
    """What one thread did, as callgrind wrote it."""

    def __init__(self, path):
        self.instructions, self.calls = 0, collections.Counter()
        names, callee, is_call = {}, "", False
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("cfn="):
                number, _, name = line[4:].partition(" ")
                callee = names.setdefault(number, name)
            elif line.startswith("fn="):
                number, _, name = line[3:].partition(" ")
                names.setdefault(number, name)
            elif line.startswith("calls="):
                self.calls[callee] += int(line[6:].split()[0])
                is_call = True
            elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
                if not is_call:
                    self.instructions += int(line.split()[1])
                is_call = False

    def count(self, kind):
        return sum(calls for name, calls in self.calls.items() if COUNTED[kind].match(name))


class Count(Bed):
    def __init__(self, options, folder):
        super().__init__(folder)
        self.options = options

    def prepare(self):
        self.file("body", "x" * 10240)
        (self.folder / "www").mkdir()
        (self.folder / "www" / "0k").write_bytes(BODY)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=localhost",
                        "-keyout", str(self.folder / "key.pem"), "-out", str(self.folder / "cert.pem")], check=True, capture_output=True)
        up1, spans, (up2, admin, *self.numbers) = self.upstream(), self.sink(), free_ports(5)
        self.start([which("nghttpd"), "--no-tls", "-a", "127.0.0.1", "-d", str(self.folder / "www"), "-m", "1000", str(up2)])
        wait_for(up2)
        self.ports = dict(zip(("plain", "h2", "tls"), self.numbers))
        self.config = self.file("proxy.yaml", f"""service: count
workers: 1
listeners:
  - {{ name: plain, address: "127.0.0.1:{self.ports['plain']}", routes: [{{ upstream: one }}] }}
  - {{ name: h2, address: "127.0.0.1:{self.ports['h2']}", routes: [{{ upstream: two }}] }}
  - name: tls
    address: "127.0.0.1:{self.ports['tls']}"
    tls: {{ certificates: [{{ certificate: "{self.folder}/cert.pem", key: "{self.folder}/key.pem" }}] }}
    routes: [{{ upstream: one }}]
upstreams:
  one: {{ endpoints: ["127.0.0.1:{up1}"] }}
  two: {{ endpoints: ["127.0.0.1:{up2}"], protocol: http2 }}
tracing: {{ sampling: {{ percent: 100 }}, exporters: [{{ zipkin: {{ endpoint: "http://127.0.0.1:{spans}/api/v2/spans", encoding: v2-proto }} }}] }}
admin: {{ address: "127.0.0.1:{admin}" }}
log: {{ level: error }}
""")

    def load(self, shape, count):
        arguments, listener = SHAPES[shape]
        scheme = "https" if listener == "tls" else "http"
        arguments = [argument.format(folder=self.folder) for argument in arguments]
        out = subprocess.run(["h2load", "-t1", f"-n{count}", *arguments, f"{scheme}://127.0.0.1:{self.ports[listener]}/0k"],
                             capture_output=True, text=True, check=True, timeout=300).stdout
        if int(re.search(r"(\d+) 2xx", out)[1]) != count:
            raise SystemExit(f"{shape}: not all {count} requests were answered with 200:\n{out[-600:]}")

    def count(self, shape):
        out = self.folder / "callgrind.out"
        for old in self.folder.glob("callgrind.out*"):
            old.unlink()
        process = self.start(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--instr-atstart=no", "--separate-threads=yes",
                              self.options.proxy, "--config", self.config])
        wait_for(self.ports["plain"])
        self.load(shape, 1000)  # pools fill
        self.switch(process, "on")
        self.load(shape, self.options.requests)
        time.sleep(1.5)  # the last spans leave
        self.switch(process, "off")
        process.terminate()
        process.wait()
        self.started.remove(process)
        # The worker is the busiest thread by far.
        worker = max((Profile(path) for path in self.folder.glob("callgrind.out-*")), key=lambda profile: profile.instructions)
        each = self.options.requests
        return {"instructions": round(worker.instructions / each), "allocations": round(worker.count("allocations") / each, 1),
                "references": round(worker.count("references") / each, 1)}

    @staticmethod
    def switch(process, state):
        # taskset has become valgrind by exec.
        subprocess.run(["callgrind_control", "-i", state, str(process.pid)], check=True, capture_output=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proxy", default=default_proxy())
    parser.add_argument("--requests", type=int, default=8000)
    parser.add_argument("--shape", action="append", choices=list(SHAPES))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    for program in ("valgrind", "h2load", "nghttpd", "nginx", "openssl"):
        if not which(program):
            raise SystemExit(f"{program} is needed: apt-get install valgrind nghttp2-client nghttp2-server nginx-light openssl")
    budgets = json.loads(BUDGETS.read_text()) if BUDGETS.exists() else {}
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        bench = Count(options, folder)
        try:
            bench.prepare()
            for shape in options.shape or SHAPES:
                counted = bench.count(shape)
                budget = budgets.get(shape, {"instructions": 0, "allocations": 0, "references": 0})
                if options.write:
                    budget = budgets[shape] = counted
                over = [kind for kind in counted if counted[kind] > (budget[kind] * TOLERANCE if kind == "instructions" else budget[kind] + 0.5)]
                failed = failed or bool(over)
                print(f"{shape}: " + ", ".join(f"{counted[kind]} {kind} (budget {budget[kind]})" for kind in counted)
                      + (f": over budget in {' and '.join(over)}" if over else ""), flush=True)
        finally:
            bench.end()
    if options.write:
        BUDGETS.write_text(json.dumps(budgets, indent=2) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
