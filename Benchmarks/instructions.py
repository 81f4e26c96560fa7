#!/usr/bin/env python3
"""Instructions, allocations and reference counts a request costs the worker thread, counted by callgrind and held against Benchmarks/budgets.json.

  Benchmarks/instructions.py [--proxy BINARY] [--requests 2000] [--shape NAME]... [--runs 1] [--write] [--functions N] [--docs]

Fails if a shape takes 3 % more instructions than its budget, one more allocation in two requests, or one more retain or release in two (4 % where there
are many). Two loads are counted, of a few requests and of --requests more, and the difference is divided: what connections cost is in neither figure.
Counts do not depend on how busy the machine is (0.5 % from run to run, --runs shows it); they depend a little on the versions of libc, libevent, nghttp2 and
OpenSSL, which are printed with a failure, and on whether the processor has AVX2, which libc and OpenSSL use under valgrind too. Beside the worker's figures
stand two without a budget: the reporter thread's instructions a request, and the worker's for a connection (with its handshake). --write makes the counts
the new budgets; --functions shows where the worker's instructions go, --docs writes them into docs/performance.md.

The binary needs its symbols: the default is what scripts/build-static leaves before it strips. Needs, from Debian: valgrind, nghttp2-client,
libnghttp2-dev, openssl, gcc; scripts/check-budgets, which CI runs, installs them and builds the binary.
"""
import argparse
import collections
import json
import re
import socket
import statistics
import subprocess
import tempfile
import time

from comparison import page
from comparison.bed import REPOSITORY, Bed, free_ports, which

BUDGETS = REPOSITORY / "Benchmarks/budgets.json"
CONNECTIONS, FEW = 16, 1536
FIELDS = [f"-HX-Field-{number}: value of field {number}" for number in range(16)]
# name: (h2load's arguments, the listener)
SHAPES = {
    "GET": (["--h1"], "plain"),
    "GET with 16 more fields": (["--h1", *FIELDS], "plain"),
    "POST 10 KiB": (["--h1", "-d", "{body}"], "plain"),
    "GET over h2c": (["-m8"], "plain"),
    "GET over h2c to h2c": (["-m8"], "h2"),
    "GET over TLS 1.3": (["--h1"], "tls"),
}
# what: the most it may be, by its budget
ALLOWED = {"instructions": lambda budget: budget * 1.03, "allocations": lambda budget: budget + 0.5, "references": lambda budget: max(budget * 1.04, budget + 0.5)}
COUNTED = {
    "allocations": re.compile(r"^(malloc|calloc|realloc|posix_memalign|aligned_alloc)('\d+)?$"),
    "references": re.compile(r"^swift_(retain|release|unknownObjectRetain|bridgeObjectRetain|unownedRetain)(_n)?('\d+)?$"),
}
MODULES = ("EventLoop", "HTTP1", "HTTP2", "TLS", "Propagation", "SpanEmitter", "PropagatingProxy")
PACKAGES = ("libc6", "libevent-2.1-7", "libnghttp2-14", "libssl3", "valgrind", "nghttp2-client")


def default_proxy():
    found = sorted(REPOSITORY.glob(".build/static/scratch/*/release/propagating-proxy"))
    return str(found[0]) if found else str(REPOSITORY / ".build/release/propagating-proxy")


class Profile:
    """What one thread did between two dumps, as callgrind wrote it."""

    def __init__(self, path):
        self.functions, self.calls, self.owners = collections.Counter(), collections.Counter(), {}
        names, objects, function, callee, owner, is_call = {}, {}, "", "", "", False
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("cfn="):
                number, _, name = line[4:].partition(" ")
                callee = names.setdefault(number, name)
            elif line.startswith("fn="):
                number, _, name = line[3:].partition(" ")
                function = names.setdefault(number, name)
                self.owners.setdefault(function, owner)
            elif line.startswith("ob="):
                number, _, name = line[3:].partition(" ")
                owner = objects.setdefault(number, name.rsplit("/", 1)[-1])
            elif line.startswith("cob="):
                number, _, name = line[4:].partition(" ")
                objects.setdefault(number, name.rsplit("/", 1)[-1])
            elif line.startswith("calls="):
                self.calls[callee] += int(line[6:].split()[0])
                is_call = True
            elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
                if not is_call:
                    self.functions[function] += int(line.split()[1])
                is_call = False
        self.instructions = self.functions.total()

    def by_part(self):
        """Instructions of our modules, of Swift's library, and of each shared library."""
        parts = collections.Counter()
        for function, instructions in self.functions.items():
            owner = self.owners.get(function, "")
            module = re.match(r"\$s(\d+)", function)
            if module and function[module.end():][:int(module[1])] in MODULES:
                parts[function[module.end():][:int(module[1])]] += instructions
            else:
                parts[owner.split(".so")[0] if ".so" in owner else "Swift's library"] += instructions
        return parts

    def count(self, kind):
        return sum(calls for name, calls in self.calls.items() if COUNTED[kind].match(name))


class Threads:
    """The threads of one dump: the worker is the busiest by far, the reporter most of the rest."""

    def __init__(self, paths):
        profiles = sorted((Profile(path) for path in paths), key=lambda profile: -profile.instructions)
        self.worker = profiles[0]
        self.reporter = sum(profile.instructions for profile in profiles[1:])


class Count:
    def __init__(self, options, bed):
        self.options, self.bed, self.folder, self.dumps = options, bed, bed.folder, 0
        self.parts = {}  # by shape: instructions a request of each part

    def prepare(self):
        self.bed.prepare()
        self.body = self.bed.file("upload", "x" * 10240)
        admin, *numbers = free_ports(4)
        self.ports = dict(zip(("plain", "h2", "tls"), numbers))
        self.config = self.bed.file("proxy.yaml", f"""service: count
workers: 1
listeners:
  - {{ name: plain, address: "127.0.0.1:{self.ports['plain']}", routes: [{{ upstream: one }}] }}
  - {{ name: h2, address: "127.0.0.1:{self.ports['h2']}", routes: [{{ upstream: two }}] }}
  - name: tls
    address: "127.0.0.1:{self.ports['tls']}"
    tls: {{ certificates: [{{ certificate: "{self.bed.certificate}", key: "{self.bed.key}" }}] }}
    routes: [{{ upstream: one }}]
    timeouts: {{ tls_handshake: 60s }}
upstreams:  # under callgrind, beside compilers, a second is nothing
  one: {{ endpoints: ["127.0.0.1:{self.bed.ports['up']}"], timeouts: {{ connect: 30s, response: 60s, pool_idle: 60s }} }}
  two: {{ endpoints: ["127.0.0.1:{self.bed.ports['up_h2']}"], protocol: http2, timeouts: {{ connect: 30s, response: 60s, pool_idle: 60s }} }}
tracing:
  sampling: {{ percent: 100 }}
  exporters: [{{ zipkin: {{ endpoint: "http://127.0.0.1:{self.bed.ports['sink']}/api/v2/spans", encoding: v2-proto, flush_interval: 200ms }} }}]
admin: {{ address: "127.0.0.1:{admin}" }}
log: {{ level: error }}
""")

    def wait_until_started(self, process):
        end = time.monotonic() + 60  # valgrind is slow to start beside compilers
        while process.poll() is None and time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.ports["plain"])) == 0:
                    return
            time.sleep(0.05)
        raise SystemExit(f"{self.options.proxy} does not start under valgrind within 60 s, or has ended: {process.poll()}")

    def load(self, shape, count):
        arguments, listener = SHAPES[shape]
        scheme = "https" if listener == "tls" else "http"
        arguments = [argument.format(body=self.body) for argument in arguments]
        out = self.bed.run(["h2load", "-t1", f"-c{CONNECTIONS}", f"-n{count}", *arguments, f"{scheme}://127.0.0.1:{self.ports[listener]}/0k"], 300)
        if f"status codes: {count} 2xx" not in out:
            raise SystemExit(f"{shape}: not all {count} requests were answered with 200:\n{out[-600:]}")
        time.sleep(0.5)  # the connections' ends are seen, the last spans leave

    def control(self, process, *arguments):
        subprocess.run(["callgrind_control", *arguments, str(process.pid)], check=True, capture_output=True)

    def counted(self, process, shape, count):
        """What the threads did for a load of this many requests; callgrind starts from zero after each dump."""
        self.load(shape, count)
        self.control(process, "--dump")
        self.dumps += 1
        return Threads(self.folder.glob(f"callgrind.out.{self.dumps}-*"))

    def count(self, shape):
        """The figures of one request."""
        for old in self.folder.glob("callgrind.out*"):
            old.unlink()
        self.dumps = 0
        process = self.bed.start("callgrind", ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.folder}/callgrind.out", "--instr-atstart=no",
                                               "--separate-threads=yes", self.options.proxy, "--config", self.config], [], self.bed.proxy_cores)
        self.wait_until_started(process)
        self.load(shape, FEW)  # pools fill
        self.control(process, "-i", "on")
        few, more = self.counted(process, shape, FEW), self.counted(process, shape, FEW + self.options.requests)
        self.bed.stop(process)
        once, more_often = few.worker.by_part(), more.worker.by_part()
        self.parts[shape] = {part: (more_often[part] - once[part]) / self.options.requests for part in more_often}
        if self.options.functions:
            self.show_functions(shape, more.worker, FEW + self.options.requests)

        def each(value):
            return (value(more) - value(few)) / self.options.requests
        instructions = each(lambda threads: threads.worker.instructions)
        return {"instructions": round(instructions), "allocations": round(each(lambda threads: threads.worker.count("allocations")), 1) + 0.0,
                "references": round(each(lambda threads: threads.worker.count("references")), 1), "reporter": round(each(lambda threads: threads.reporter)),
                "connection": round((few.worker.instructions - FEW * instructions) / CONNECTIONS)}

    def show_functions(self, shape, profile, count):
        print(f"{shape}: the worker's instructions by part and by function, a request (with the connections' share)")
        for part, instructions in profile.by_part().most_common(12):
            print(f"{instructions / count:10.0f}  {100 * instructions / profile.instructions:5.1f} %  {part}")
        print()
        top = profile.functions.most_common(self.options.functions)
        names = [name.split("'")[0] for name, _ in top]
        demangled = subprocess.run(["swift", "demangle", "--simplified"], input="\n".join(names), capture_output=True, text=True).stdout.splitlines() or names
        for (function, instructions), name in zip(top, demangled):
            shown = f"{profile.owners.get(function)} {name}" if name.startswith("0x") else name
            print(f"{instructions / count:10.0f}  {100 * instructions / profile.instructions:5.1f} %  {shown[:110]}")


def medians(runs):
    """The median of each figure."""
    return {kind: sorted(run[kind] for run in runs)[len(runs) // 2] for kind in runs[0]}


def line(shape, counted, budget, runs):
    """What is printed for a shape, and what of it is over its budget."""
    over = [kind for kind, allowed in ALLOWED.items() if counted[kind] > allowed(budget[kind])]
    change = 100 * (counted["instructions"] / budget["instructions"] - 1) if budget["instructions"] else 0
    text = (f"{shape:24s} {counted['instructions']:7,} instructions ({change:+.1f} % of its budget), "
            f"{counted['allocations']:4.1f} allocations ({budget['allocations']}), {counted['references']:5.1f} references ({budget['references']}); "
            f"reporter {counted['reporter']:,}; a connection {counted['connection']:,}")
    if len(runs) > 1:
        values = [run["instructions"] for run in runs]
        text += f"; spread {100 * (max(values) - min(values)) / statistics.median(values):.2f} % of {len(runs)} runs"
    return text + (f"  OVER BUDGET: {' and '.join(over)}" if over else ""), over


def table(counted, parts):
    """In Markdown: the instructions of each shape, by whose code it is."""
    names = [part for part, _ in sum((collections.Counter(one) for one in parts.values()), collections.Counter()).most_common(12)]
    heads = ["a request of the worker", "instructions", "of them " + names[0], *names[1:], "allocations", "retains and releases", "reporter", "a connection"]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 1)]
    for shape, one in counted.items():
        values = [f"{one['instructions']:,}", *(f"{parts[shape].get(name, 0):,.0f}" for name in names), one["allocations"], one["references"],
                  f"{one['reporter']:,}", f"{one['connection']:,}"]
        lines.append(f"| {shape} | " + " | ".join(map(str, values)) + " |")
    return "\n".join(lines)


def print_versions():
    """The versions counts depend on, for whoever reads a failure."""
    wanted = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}, ", *PACKAGES], capture_output=True, text=True).stdout
    swift = subprocess.run(["swift", "--version"], capture_output=True, text=True).stdout.splitlines()[:1]
    print("counted with", wanted + "".join(swift))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proxy", default=default_proxy())
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--shape", action="append", choices=list(SHAPES))
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--functions", type=int, default=0, metavar="N")
    options = parser.parse_args()
    for program in ("valgrind", "h2load", "openssl", "cc"):
        if not which(program):
            raise SystemExit(f"{program} is needed: scripts/setup budgets")
    budgets = json.loads(BUDGETS.read_text()) if BUDGETS.exists() else {}
    failed, every = False, {}
    with tempfile.TemporaryDirectory() as folder:
        bed = Bed(folder)
        bench = Count(options, bed)
        try:
            bench.prepare()
            for shape in options.shape or SHAPES:
                runs = [bench.count(shape) for _ in range(options.runs)]
                counted = every[shape] = medians(runs)
                if options.write:
                    budgets[shape] = {kind: counted[kind] for kind in ALLOWED}
                text, over = line(shape, counted, budgets.get(shape, dict.fromkeys(ALLOWED, 0)), runs)
                failed = failed or bool(over)
                print(text, flush=True)
        finally:
            bed.end()
    if failed:
        print_versions()
        print("A rise that is meant is made the budget with Benchmarks/instructions.py --runs 3 --write, and explained in the commit.")
    if options.docs:
        made = table(every, bench.parts)
        page.fill(lambda name: made if name == "parts" else None)
    if options.write:
        BUDGETS.write_text(json.dumps(budgets, indent=2) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
