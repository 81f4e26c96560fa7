#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a collector that fails does to the latency of requests: nothing is promised to be felt (C 15).

Each round measures every condition of the collector once, in another order, so that a busy machine slows all alike. Latency
is that of `wrk` with pauses between its requests; compared is, within each round, the 99th percentile with that of the
collector that is up, and told is the median over the rounds. `up, once more` is the same condition twice: what it differs by
is what these figures cannot tell. Where it may, the script runs the proxy, its upstream and `wrk` before all other programs
(SCHED_FIFO), and the collector behind them (nice 10).
"""

import os
import random
import shutil
import statistics
import sys
import time

import lab
import load
import slow

CONDITIONS = {
    "up": lambda collector: collector.answers(202),
    "up, once more": lambda collector: collector.answers(202),
    "refuses connections": lambda collector: collector.stop(),
    "answers 503": lambda collector: collector.answers(503),
    "answers 429": lambda collector: collector.answers(429),
    "answers 413": lambda collector: collector.answers(413),
    "takes 1.5 s a post": lambda collector: collector.answers(202, delay_ms=1500),
}


class Behind(load.Collector):
    """A collector that leaves the processors to what is measured."""

    def _run(self, listener):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.nice(10)
        super()._run(listener)


def measure(name, collector, proxy, options):
    """The condition holds for a second before it is measured."""
    CONDITIONS[name](collector)
    time.sleep(1)
    result = slow.healthy(proxy, options)
    if collector.child is None:
        collector.start()
    return result


def main():
    parser = lab.arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=6, help="of one measurement (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=32, help="of callers (default: %(default)s)")
    parser.add_argument("--saturate", action="store_true", help="callers without pauses")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed")
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        print("no right to SCHED_FIFO: other programs disturb the figures")
    collector = Behind()
    upstreams, address = load.start_upstream()
    table = lab.Table(("collector", 22), ("p99 ms", 8), ("change", 8), ("median ms", 9), ("requests", 9), ("failed", 6))
    results = {name: [] for name in CONDITIONS}
    try:
        host, port = collector.address
        exporter = f'zipkin: {{ endpoint: "http://{host}:{port}/api/v2/spans", encoding: v2-json }}'
        with lab.Proxy(options.binary, address, exporters=[exporter]) as proxy:
            slow.healthy(proxy, options)  # first uses of everything
            for _ in range(options.rounds):
                for name in random.sample(list(CONDITIONS), len(CONDITIONS)):
                    results[name].append(measure(name, collector, proxy, options))
        changes = {
            name: statistics.median(row[2] / up[2] - 1 for row, up in zip(rows, results["up"]))
            for name, rows in results.items()}
        noise = abs(changes["up, once more"])
        for name, rows in results.items():
            failed = sum(row[3] for row in rows)
            table.row(
                failed == 0 and changes[name] < 0.01 + noise, name, f"{statistics.median(row[2] for row in rows) / 1000:.3f}",
                f"{changes[name]:+.1%}", f"{statistics.median(row[1] for row in rows) / 1000:.3f}",
                f"{sum(row[0] for row in rows) * options.seconds:.0f}", failed)
        table.end()
    finally:
        collector.stop()
        for upstream in upstreams:
            upstream.end()


if __name__ == "__main__":
    main()
