"""A flame graph of the saturated proxy: perf's samples, folded by stack, as a static SVG. Width is CPU time, height the depth of calls, colour who runs."""
import collections
import re
import subprocess
import time

from . import loads, scenarios
from .bed import BedError, which
from .svg import Drawing

WIDTH, ROW, TOP, LEFT = 1200, 16, 70, 10
LEAST = 0.0012  # of all samples: narrower frames are left out
KERNEL, LIBRARY, PROXY = "kernel", "library", "proxy"
FILLS = {KERNEL: ("#8ab4e8", "#7ba8df", "#9bc0ee"), LIBRARY: ("#f2d06b", "#ebc65a", "#f6d980"), PROXY: ("#f0956a", "#ea875a", "#f5a47e")}
TITLES = {KERNEL: "kernel", LIBRARY: "libc, libevent, OpenSSL, nghttp2, Swift's runtime", PROXY: "the proxy"}
BEFORE_NAMES = re.compile(r"^((generic|partial|merged|specialized|protocol witness for|thunk for|closure #\d+( \(.*?\))? in|implicit closure #\d+ in|@\w+) ?)+")
RUNTIME = re.compile(r"^(swift_|_swift|__swift|Swift\.|free|malloc|mem|str|_int_)")


def record(bed, peer, key, seconds, frequency=999):
    """perf's samples as text, while the proxy serves the load of a scenario as fast as it can."""
    if not which("perf"):
        raise SystemExit("missing: apt-get install linux-perf")
    scenario = next(one for one in scenarios.SCENARIOS if one.key == key)
    running = peer.start(bed, scenario.listener)
    try:
        port, samples = running.ports[scenario.listener], str(bed.folder / "perf.data")
        loads.warm_up(bed, scenario, port, 10000)
        # The proxy's frames keep their pointers; cpu-clock is there where a virtual machine has no counters.
        command = [which("perf"), "record", "-q", "-e", "cpu-clock", "-F", frequency, "--call-graph", "fp", "-p", running.process.pid, "-o", samples,
                   "--", "sleep", seconds]
        recorder = bed.spawn(command, bed.other_cores, output=subprocess.PIPE)
        time.sleep(0.2)
        row = getattr(loads, scenario.load)(bed, scenario, port, seconds + 1)
        said = recorder.communicate(timeout=30)[0].decode(errors="replace")
        if row["faults"] or recorder.returncode:
            raise BedError("; ".join(row["faults"]) or f"perf record: {said[-300:]}")
        return bed.run([which("perf"), "script", "-i", samples, "-F", "comm,tid,ip,sym,dso"], 120)
    finally:
        bed.stop(running.process)


def stacks(text, program):
    """{(thread, (name, kind), ...): samples}, outermost frame first; `program` is the path of the proxy."""
    found, thread, frames = collections.Counter(), None, []
    for line in [*text.splitlines(), ""]:
        if not line.strip():
            if thread:
                found[(thread, *reversed(frames))] += 1
            thread, frames = None, []
        elif not line[0].isspace():
            thread = re.sub(r"\s+\d+\s*$", "", line.rstrip(": ")).strip()
        elif made := re.match(r"\s+([0-9a-f]+) (.*) \(([^()]*(?:\([^()]*\))?)\)$", line):
            one = frame(*made.groups(), program)
            if frames[-1:] != [one]:  # a library without frame pointers or symbols may look like itself, many times over
                frames.append(one)
    return found


def frame(address, symbol, binary, program):
    name = symbol.split("+0x")[0].strip()
    if "[kernel" in binary or int(address, 16) >> 63 or binary.endswith(".ko"):
        return name, KERNEL
    if name == "[unknown]":
        name = binary.rsplit("/", 1)[-1]
    return name, PROXY if binary == program and not RUNTIME.match(name) else LIBRARY


def readable(counted):
    """The same stacks with Swift's names in short."""
    names = sorted({name for stack in counted for name, _ in stack[1:] if name.startswith("$")})
    if names and which("swift"):
        told = subprocess.run([which("swift"), "demangle", "--compact", "--simplified"], input="\n".join(names), capture_output=True, text=True, check=True)
        short = {name: shortened(text) for name, text in zip(names, told.stdout.splitlines())}
    else:
        short = {}
    made = collections.Counter()
    for stack, count in counted.items():
        made[(stack[0], *((short.get(name, name), kind) for name, kind in stack[1:]))] += count
    return made


def shortened(name):
    """`specialized closure #1 in A.b<C>(d:) in _F00` as `A.b(d:)`."""
    name = re.sub(BEFORE_NAMES, "", name)
    name = re.sub(r" in (_[0-9A-F]{8,}|conformance .*)", "", name)
    while (less := re.sub(r"<[^<>]*>", "", name)) != name:
        name = less
    return name


class Node:
    def __init__(self):
        self.count, self.below = 0, {}


def tree(counted):
    root = Node()
    for stack, count in counted.items():
        node = root
        node.count += count
        for one in ((stack[0], "thread"), *stack[1:]):
            node = node.below.setdefault(one, Node())
            node.count += count
    return root


def depth(node, least):
    return 1 + max((depth(below, least) for below in node.below.values() if below.count >= least), default=0)


class Flames(Drawing):
    def __init__(self, root, title, note):
        self.root, self.least = root, LEAST * root.count
        fills = " ".join(f".{kind}{index} {{ fill: {fill}; }}" for kind, shades in FILLS.items() for index, fill in enumerate(shades))
        self.bottom = TOP + ROW * depth(root, self.least)
        names = ".thread { fill: #b9c0c9; } .f { fill: #10151c; font-size: 10.5px; pointer-events: none; } .frame { stroke: #ffffff; stroke-width: 0.4; }"
        super().__init__(WIDTH, self.bottom + 12, title, style=f"{fills} {names}")
        self.text(LEFT, 24, title, "ink bold", size=15)
        self.text(LEFT, 42, note, "faint", size=11)
        place = LEFT
        for kind in FILLS:
            share = 100 * own(root, kind) / root.count
            self.box(place, 50, 10, 10, f"{kind}0")
            self.text(place + 14, 59, f"{TITLES[kind]} {share:.0f} %", "ink", size=11)
            place += 62 + 5.6 * len(TITLES[kind])
        self.draw(root, LEFT, 0, (WIDTH - 2 * LEFT) / root.count, None)

    def draw(self, node, left, level, scale, one):
        width, top = node.count * scale, self.bottom - ROW * (level + 1)
        name, kind = one or ("all", "thread")
        shade = "thread" if kind == "thread" else f"{kind}{sum(name.encode()) % 3}"
        self.box(left, top, width, ROW, f"frame {shade}", f"{name}: {100 * node.count / self.root.count:.2f} %")
        if (letters := int((width - 6) / 6)) >= 3:
            self.add(f'<text x="{left + 3:.1f}" y="{top + 11.5:.1f}" class="f">{escaped(name, letters)}</text>')
        for below, deeper in sorted(node.below.items(), key=lambda item: item[0]):
            if deeper.count >= self.least:
                self.draw(deeper, left, level + 1, scale, below)
                left += deeper.count * scale


def escaped(name, letters):
    text = name if len(name) <= letters else name[:letters - 1] + "…"
    return text.replace("&", "&amp;").replace("<", "&lt;")


def own(node, kind, here=None):
    """Samples whose innermost frame is of a kind."""
    inside = sum(below.count for below in node.below.values())
    return (node.count - inside if here == kind else 0) + sum(own(below, kind, one[1]) for one, below in node.below.items())


def table(counted, most=20):
    """In Markdown: whose code runs, by thread, and the innermost frames that take most."""
    total, kinds, threads, leaves = counted.total(), collections.Counter(), collections.Counter(), collections.Counter()
    for stack, count in counted.items():
        threads[stack[0]] += count
        if len(stack) > 1:
            kinds[(stack[0], stack[-1][1])] += count
            leaves[stack[-1]] += count
    lines = [f"| thread, % of {total:,} samples | {' | '.join(TITLES.values())} | all |", "| --- |" + " ---: |" * (len(TITLES) + 1)]
    for thread, count in threads.most_common():
        if count < LEAST * total:
            continue
        lines.append(f"| {thread} | " + " | ".join(f"{100 * kinds[(thread, kind)] / total:.1f}" for kind in TITLES) + f" | {100 * count / total:.1f} |")
    innermost = ", ".join(f"`{name}` {100 * count / total:.1f} %" for (name, _), count in leaves.most_common(most))
    return "\n".join(lines) + f"\n\nInnermost frames: {innermost}."


def svg(counted, title, note):
    return Flames(tree(counted), title, note).whole()
