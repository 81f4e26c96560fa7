# SPDX-License-Identifier: Apache-2.0
"""What the examples' commands have in common: finding the proxy, printing, waiting for Ctrl-C, and a clean end."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, NoReturn

from processes import Program, Programs, StartFailure


def find_proxy(given: str | None) -> str:
    """The binary: --proxy, $PROPAGATING_PROXY, this checkout's release or debug build, or the PATH."""
    chosen = given or os.environ.get("PROPAGATING_PROXY")
    if chosen:
        return chosen
    builds = [Path(__file__).resolve().parents[2] / ".build" / kind / "propagating-proxy" for kind in ("release", "debug")]
    found = next((str(build) for build in builds if build.exists()), None) or shutil.which("propagating-proxy")
    if found is None:
        raise StartFailure("no propagating-proxy: run `swift build -c release`, or give --proxy")
    return found


class Say:
    """Prints for a reader; silent when a program reads."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet

    def __call__(self, text: str = "") -> None:
        if not self.quiet:
            print(text, flush=True)


def keep_until_signal(proxy: Program) -> bool:
    """Waits for Ctrl-C; false when the proxy ended by itself before."""
    try:
        while proxy.process.poll() is None:
            time.sleep(0.2)
    except KeyboardInterrupt:
        return True
    return False


def run_and_clean_up(name: str, run: Callable[[Programs], int]) -> int:
    """Gives `run` programs to start and returns its exit code; stops them all, also when a signal ends us."""
    # SIGINT too: a shell script's background job starts with it ignored, and Python then leaves it so.
    endings = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupted(received: int, frame: object) -> NoReturn:
        # An impatient second Ctrl-C must not cut the stopping short and leave programs behind.
        for number in endings:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in endings:
        signal.signal(number, interrupted)
    try:
        with tempfile.TemporaryDirectory(prefix=f"{name}-") as directory, Programs(Path(directory)) as programs:
            return run(programs)
    except StartFailure as failure:
        print(f"run.py: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
