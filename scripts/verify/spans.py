#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Spans at full load, whatever the collector does, and a stop in the middle of it.

One row per condition of the collector: requests served, the slowest, how many scrapes of /metrics were taken and
whether each of them said started = exported + dropped + queued, and what was dropped for which reason. The figures
of each row are of that row alone. The exporter's queue is as large as by default.
"""

import re
import signal
import time

import lab
import load


class Figures:
    """The accounts of the spans in one scrape."""

    def __init__(self, samples):
        self.started = lab.metric(samples, "spans_started_total")
        self.exported = lab.metric(samples, "spans_exported_total")
        self.queued = lab.metric(samples, "spans_queued")
        self.dropped = {}
        for key, value in samples.items():
            found = re.search(r'spans_dropped_total\{.*reason="([^"]+)"', key)
            if found:
                self.dropped[found[1]] = self.dropped.get(found[1], 0) + value

    @property
    def balances(self):
        return self.started == self.exported + sum(self.dropped.values()) + self.queued


def drops(before, after):
    lost = {reason: after.dropped[reason] - before.dropped[reason] for reason in after.dropped}
    return " ".join(f"{reason} {count:.0f}" for reason, count in lost.items() if count) or "nothing"


class Run:
    PHASES = 16

    def __init__(self, options):
        self.collector = load.Collector()
        self.upstreams, address = load.start_upstream()
        host, port = self.collector.address
        self.proxy = lab.Proxy(
            options.binary, address, workers=options.workers, shutdown="{ drain_delay: 1s }",
            exporters=[f'zipkin: {{ endpoint: "http://{host}:{port}/api/v2/spans", encoding: v2-json }}'])
        self.callers = load.Callers(self.proxy.address, options.connections, phases=self.PHASES)
        self.phase = 0
        self.usual = 0
        self.table = lab.Table(
            ("collector", 26), ("requests", 9), ("a second", 9), ("slowest ms", 10), ("scrapes", 8), ("unbalanced", 10),
            ("queued", 7), ("exported", 9), ("dropped", 24))

    def figures(self):
        return Figures(self.proxy.metrics())

    def during(self, name, seconds=0.0, until=0, may_drop=(), is_usual=False):
        """Watches for so long, or until so many requests were served."""
        counters = self.callers.counters
        before, begin = self.figures(), time.monotonic()
        counters["phase"] = self.phase
        scrapes = unbalanced = 0
        while time.monotonic() - begin < seconds or counters["served"] < until:
            now = self.figures()
            scrapes += 1
            unbalanced += not now.balances
            time.sleep(0.1)
        elapsed, after = time.monotonic() - begin, self.figures()
        served = counters[f"served{self.phase}"]
        slowest = counters[f"slowest{self.phase}"] / 1000
        if is_usual:
            self.usual = max(self.usual, slowest)
        lost = {reason for reason in after.dropped if after.dropped[reason] > before.dropped[reason]}
        self.table.row(
            not unbalanced and slowest <= self.usual + 50 and lost <= set(may_drop) and counters["failed"] == 0,
            name, served, f"{served / elapsed:.0f}", f"{slowest:.1f}", scrapes, unbalanced, f"{after.queued:.0f}",
            f"{after.exported - before.exported:.0f}", drops(before, after))
        self.phase += 1

    def stop(self):
        """SIGTERM under load; what the proxy said last and what the collector got must agree."""
        counters = self.callers.counters
        begin = time.monotonic()
        self.proxy.process.send_signal(signal.SIGTERM)
        unbalanced = scrapes = 0
        last = None
        while self.proxy.process.poll() is None and time.monotonic() - begin < 40:
            try:
                last = self.figures()
                scrapes += 1
                unbalanced += not last.balances
            except OSError:
                pass
            time.sleep(0.05)
        seconds = time.monotonic() - begin
        status = self.proxy.process.returncode
        self.callers.wait()
        lost = re.findall(r"spans_lost=(\d+)", self.proxy.log)
        served, got = counters["served"], self.collector.counters["spans"]
        self.table.row(
            status == 0 and not unbalanced and counters["failed"] == 0 and counters["mixed"] == 0,
            "up; SIGTERM", served, "", "", scrapes, unbalanced, "", "",
            f"lost at exit: {lost[-1] if lost else '?'}; exit {status} after {seconds:.1f} s; "
            f"failed {counters['failed']}, reconnected {counters['reconnects']} {self.callers.first_errors}")
        return last, got

    def end(self):
        self.callers.child.end()
        self.collector.stop()
        for upstream in self.upstreams:
            upstream.end()
        self.proxy.__exit__()


def main():
    parser = lab.arguments(__doc__)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--requests", type=int, default=200_000, help="in all (default: %(default)s)")
    options = parser.parse_args()
    run = Run(options)
    try:
        # One collector may be slower than one proxy is fast: only a full queue may lose spans.
        run.during("up", 4, is_usual=True)
        run.collector.stop()
        run.during("down for 10 s", 10, may_drop=["queue_full"])
        run.collector.start()
        run.during("up again", 4, may_drop=["queue_full"])
        run.collector.answers(202, delay_ms=1500)
        run.during("slow: 1.5 s a post", 5, may_drop=["queue_full"])
        for status in (500, 429):
            run.collector.answers(status)
            run.during(f"answers {status}", 5, may_drop=["queue_full"])
        run.collector.answers(413, limit=100_000)
        run.during("answers 413 above 100 kB", 6, may_drop=["queue_full"])
        run.collector.answers(202)
        run.during("up until all are served", 5, until=options.requests, may_drop=["queue_full"])
        run.stop()
        run.table.end()
    finally:
        run.end()


if __name__ == "__main__":
    main()
