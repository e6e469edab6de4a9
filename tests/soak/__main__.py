"""Run many mixed clients on a server with faults, and report what was lost or left over.

    python -m tests.soak 2 --clients 200     # minutes

The clients share this process, as in a web service; the server has its own. The last line is the
report. A call is lost if it failed without a fault, or if its answer is incomplete; doubled if it
ran twice or its answer has text twice; mixed if its answer has text of another call. Left over
(leaked) are connections, tasks, threads and files after the end, and memory that grows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
import warnings
from collections import Counter
from typing import Any

from tests.benchmarks.fleet import Child
from tests.soak.calls import Clients, call_each_once, make_call
from tests.soak.figures import Figures, measure

WARM_UP = 0.3  # of the time; caches and pools are filled then
MAX_PAUSE = 4.0  # seconds between two calls of a client
GROWTH = 10.0  # MB that memory may grow after the warm-up
MAX_EXAMPLES = 20


class Report:
    """Counts calls and what went wrong."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.calls = 0
        self.counts: Counter[str] = Counter()
        self.examples: list[str] = []

    def add(self, counter: str, about: str) -> None:
        """Count one defect."""
        self.counts[counter] += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(f"{counter}: {about}")

    def __str__(self) -> str:
        """Return the last line."""
        names = ("lost", "doubled", "mixed", "leaked")
        counts = ", ".join(f"{self.counts[name]} {name}" for name in names)
        return f"soak: {counts} in {self.calls} calls"


async def run_client(clients: Clients, report: Report, ends: float) -> None:
    """Make one call after the other."""
    await asyncio.sleep(random.random() * MAX_PAUSE)
    while time.monotonic() < ends:
        report.calls += 1
        counter, about = await make_call(clients, f"c{report.calls}")
        if counter:
            report.add(counter, about)
        await asyncio.sleep(random.random() * MAX_PAUSE)


def measure_here() -> Figures:
    """Measure this process; the caller's own task does not count."""
    return measure(len(asyncio.all_tasks()) - 1)


async def soak(server: Child, seconds: float, count: int) -> Report:
    """Run all clients, close them, and compare what this process and the server hold."""
    report = Report()
    clients = Clients.create(json.loads(server.receive()))
    await call_each_once(clients)  # starts what stays, such as the thread of the timer
    await clients.close()
    before, began = measure_here(), time.monotonic()
    running = [
        asyncio.create_task(run_client(clients, report, began + seconds)) for _ in range(count)
    ]
    await asyncio.sleep(seconds * WARM_UP)
    warm = measure_here()
    print(
        f"after {seconds * WARM_UP:.0f} s: {report.calls} calls, {warm.memory:.0f} MB", flush=True
    )
    await asyncio.gather(*running)
    end = measure_here()
    await clients.close()
    after = await wait_for_rest(before)
    for leak in after.exceed(before):
        report.add("leaked", leak)
    if end.memory - warm.memory > GROWTH:
        report.add("leaked", f"memory: {warm.memory:.0f} MB, then {end.memory:.0f} MB")
    print(f"before: {before}\nwarm: {warm}\nend: {end}\nclosed: {after}")
    await check_server(server, report)
    return report


async def wait_for_rest(before: Figures) -> Figures:
    """Measure when all is put away, or after some seconds."""
    for _ in range(100):
        figures = measure_here()
        if not figures.exceed(before):
            break
        await asyncio.sleep(0.1)
    return figures


async def check_server(server: Child, report: Report) -> None:
    """Add the calls that ran twice, and the streams that are still open there."""
    for _ in range(100):
        server.send("report")
        told: dict[str, Any] = json.loads(await asyncio.to_thread(server.receive))
        if not told["streams"]:
            break
        await asyncio.sleep(0.1)
    for call in told["repeated"]:
        if call != "c0":
            report.add("doubled", f"{call} ran more than once")
    if told["streams"]:
        report.add("leaked", f"{told['streams']} streams of the server")
    print(f"server: {told['figures']}")


def main() -> int:
    """Run it; 1 if anything was lost, doubled, mixed or left over."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("minutes", type=float)
    parser.add_argument("--clients", type=int, default=200)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # failed recalls warn
    server = Child(sys.executable, ["tests.soak.server"])
    try:
        report = asyncio.run(soak(server, options.minutes * 60, options.clients))
    finally:
        server.close()
    print("\n".join([*report.examples, str(report)]))
    return 1 if report.counts else 0


if __name__ == "__main__":
    sys.exit(main())
