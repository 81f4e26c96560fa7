"""What processes have used and how quiet the machine is, from /proc."""
import json
import os
import pathlib
import platform
import re
import resource
import subprocess
import time

from .bed import REPOSITORY, BedError, helper, which

TICKS = os.sysconf("SC_CLK_TCK")
FOREIGN_LIMIT = 0.15  # of a core, used by others while a row was measured
STEAL_LIMIT = 0.02    # of a core, taken by the host
SLOW_LIMITS = {"arithmetic": 1.05, "memory": 1.2, "calls": 1.2}  # times the fastest calibration of this run: others on the host use the core or its caches
fastest = {}  # nanoseconds an operation, by kind
VERSIONS = {"nginx": ["-v"], "haproxy": ["-v"], "nghttpx": ["--version"], "h2o": ["--version"], "caddy": ["version"],
            "wrk": ["-v"], "h2load": ["--version"], "openssl": ["version"], "cc": ["--version"], "strace": ["--version"]}


def cpu_nanoseconds(pids):
    """CPU time of all threads that live; what ended threads used is not in it."""
    total = 0
    for pid in pids:
        for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(path.read_text().split()[0])
            except (OSError, IndexError):
                continue
    return total


def user_and_system(pids):
    """Seconds in user space and in the kernel, ended threads included; in steps of a tick."""
    user = system = 0
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        fields = text[text.rindex(")") + 2:].split()
        user, system = user + int(fields[11]), system + int(fields[12])
    return user / TICKS, system / TICKS


def resident_kib(pids, key="Rss"):
    """`Rss`, or `Pss`, which shares out the pages that several processes have; without the right to see it (ours with TLS, unless as root) `VmRSS`."""
    total = 0
    for pid in pids:
        for name, field in (("smaps_rollup", key), ("status", "VmRSS")):
            try:
                text = pathlib.Path(f"/proc/{pid}/{name}").read_text()
            except OSError:
                continue
            if found := re.search(rf"^{field}:\s+(\d+)", text, re.M):
                total += int(found[1])
                break
    return total


def cores_used():
    """Seconds all our cores have been busy, and seconds the host has taken from them."""
    ours, busy, steal = os.sched_getaffinity(0), 0, 0
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        if (found := re.match(r"cpu(\d+) (.*)", line)) and int(found[1]) in ours:
            user, nice, system, _, _, irq, soft, stolen = map(int, found[2].split()[:8])
            busy, steal = busy + user + nice + system + irq + soft, steal + stolen
    return busy / TICKS, steal / TICKS


def own_seconds(pids):
    """CPU of this program, of its loads that have ended, and of the processes it has running."""
    own = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own + cpu_nanoseconds(pids) / 1e9


def wait_for_quiet(bed, limit):
    """Waits, at most this many seconds, for 0.4 s in which all cores together are busy for less than a fifth of one, and for a core as fast as it was."""
    end = time.monotonic() + limit
    while True:
        before = cores_used()[0]
        time.sleep(0.4)
        busy = (cores_used()[0] - before) / 0.4
        if time.monotonic() > end or (busy < 0.2 and not slowed(calibrate(bed))):
            return


class Watch:
    """What others than the test bed use between two moments, and how fast the proxy's core is at both."""

    def __init__(self, bed, pids):
        self.bed, self.pids, self.calibration = bed, pids, calibrate(bed)
        self.start, (self.busy, self.steal), self.own = time.monotonic(), cores_used(), own_seconds(pids)

    def verdict(self):
        """The share of a core others used, and why the row was disturbed or None."""
        (busy, steal), own = cores_used(), own_seconds(self.pids)
        seconds = time.monotonic() - self.start
        foreign = max(0.0, (busy - self.busy - own + self.own) / seconds)
        stolen = (steal - self.steal) / seconds
        if foreign > FOREIGN_LIMIT:
            return foreign, f"other programs used {foreign:.2f} of a core"
        if stolen > STEAL_LIMIT:
            return foreign, f"the host took {stolen:.2f} of a core"
        return foreign, slowed(self.calibration) or slowed(calibrate(self.bed))


def slowed(calibration):
    """Why a row beside this calibration is disturbed, or None."""
    for kind, limit in SLOW_LIMITS.items():
        if calibration[kind] > limit * fastest[kind]:
            return f"the host slowed the core: {kind} took {calibration[kind] / fastest[kind]:.2f} times as long as it can"
    return None


def calibrate(bed):
    """Nanoseconds an operation on the proxy's core just now, by kind."""
    process = bed.spawn([helper("calibrate")], bed.proxy_cores, output=subprocess.PIPE)
    output = process.communicate(timeout=30)[0]
    if process.returncode:
        raise BedError("calibrate failed")
    calibration = json.loads(output)
    fastest.update({kind: min(took, fastest.get(kind, took)) for kind, took in calibration.items()})
    return calibration


def version(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"(?<![a-zA-Z\d.])\d+\.\d+(\.\d+)*[\w.+~-]*", done.stdout + done.stderr)
    return found[0] if found else None


def versions(extra):
    """Of all programs there are; `extra` maps further names to paths."""
    found = {name: version([which(name), *arguments]) for name, arguments in VERSIONS.items() if which(name)}
    found.update({name: version([path, "--version"]) for name, path in extra.items()})
    found["python"] = platform.python_version()
    return {name: value for name, value in found.items() if value}


def header(command, programs):
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1])
    commit = subprocess.run(["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True, check=False)
    return {"date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()), "command": command,
            "machine": f"{cpu[1] if cpu else platform.machine()}, {memory / 1048576:.1f} GiB", "kernel": platform.release(),
            "cores": len(os.sched_getaffinity(0)), "versions": versions(programs), "commit": commit.stdout.strip()}
