"""What is measured, and the clock. Standard library only, as the SDK's side runs it too.

A job is one sample: a warm-up call, a garbage collection, then the timed part, in CPU time
of this process. Text is checked after the clock has stopped.
"""

import asyncio
import gc
import statistics
import time
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, Self

from tests.benchmarks import wire


@dataclass(frozen=True)
class Job:
    """One sample to take; see the functions below for the kinds."""

    kind: str
    mode: str = "burst"
    deltas: int = 1000
    width: int = 1
    repeat: int = 1
    gc: bool = True

    @property
    def question(self) -> str:
        return wire.ask(self.mode, self.deltas, self.width)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Sample:
    """What came out: named figures, and how many answers were complete."""

    figures: dict[str, float] = field(default_factory=dict)
    good: int = 0
    total: int = 0
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class BenchmarkClient(Protocol):
    """One integration under test. Items are whatever its streams yield."""

    def drain(self, question: str) -> list[Any]: ...
    async def adrain(self, question: str) -> list[Any]: ...
    def stream(self, question: str) -> Iterable[Any]: ...
    def astream(self, question: str) -> AsyncIterable[Any]: ...
    def invoke(self, question: str) -> str: ...
    async def ainvoke(self, question: str) -> str: ...
    async def abatch(self, questions: list[str]) -> list[str]: ...
    def piece(self, item: Any) -> str:
        """Return the text in one item, "" where it has none."""
        ...

    def complete(self, items: list[Any], deltas: int) -> bool:
        """Tell whether these items are the whole answer of `deltas` deltas."""
        ...

    def construct(self) -> float:
        """Build a fresh model and return the CPU seconds that took."""
        ...

    def touch_tls(self) -> list[bool]:
        """Call https where nobody serves; tell for each call whether it got that far."""
        ...


class Recaller(Protocol):
    """Something that gets what a bot recalls."""

    def recall(self, question: str) -> list[str]:
        """Return the names of the recalled documents; they tell when they were sent."""
        ...

    async def arecall(self, question: str) -> list[str]: ...


class Clock:
    """CPU and wall time of a with-block that starts with a clean heap."""

    cpu = 0.0
    wall = 0.0

    def __init__(self, *, gc_on: bool) -> None:
        self._gc_on = gc_on

    def __enter__(self) -> Self:
        gc.collect()
        if not self._gc_on:
            gc.disable()
        self._wall = time.perf_counter()
        self._cpu = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu = time.process_time() - self._cpu
        self.wall = time.perf_counter() - self._wall
        gc.enable()

    def sample(self, units: int, answers: list[bool], note: str = "") -> Sample:
        figures = {
            "us": self.cpu / units * 1e6,
            "wall": self.wall,
            "failed": float(answers.count(False)),
        }
        return Sample(figures, answers.count(True), len(answers), note)


def warm_up(client: BenchmarkClient, calls: int = 1) -> None:
    for _ in range(calls):
        client.drain(wire.ask("burst", 1))


async def awarm_up(client: BenchmarkClient, calls: int = 1) -> None:
    for _ in range(calls):
        await client.adrain(wire.ask("burst", 1))


def stream(client: BenchmarkClient, job: Job) -> Sample:
    """Per delta: stream() read to the end."""
    warm_up(client)
    with Clock(gc_on=job.gc) as clock:
        runs = [client.drain(job.question) for _ in range(job.repeat)]
    return clock.sample(job.deltas * job.repeat, [client.complete(x, job.deltas) for x in runs])


async def astream(client: BenchmarkClient, job: Job) -> Sample:
    """Per delta: astream() read to the end."""
    await awarm_up(client)
    with Clock(gc_on=job.gc) as clock:
        runs = [await client.adrain(job.question) for _ in range(job.repeat)]
    return clock.sample(job.deltas * job.repeat, [client.complete(x, job.deltas) for x in runs])


_WARM_CALLS = 10  # the first calls after a pause take up to three times as long, in every client


def _first_sample(spans: list[float], answers: list[bool]) -> Sample:
    figures = {"us": sum(spans) / len(spans) * 1e6, "failed": float(answers.count(False))}
    return Sample(figures, answers.count(True), len(answers))


def first(client: BenchmarkClient, job: Job) -> Sample:
    """Per call: stream() up to the first item with text; the rest is read off the clock."""
    gc.collect()
    warm_up(client, _WARM_CALLS)
    spans: list[float] = []
    answers: list[bool] = []
    for _ in range(job.repeat):
        items: list[Any] = []
        span = 0.0
        start = time.process_time()
        for item in client.stream(job.question):
            if not span and client.piece(item):
                span = time.process_time() - start
            items.append(item)
        spans.append(span)
        answers.append(client.complete(items, job.deltas))
    return _first_sample(spans, answers)


async def afirst(client: BenchmarkClient, job: Job) -> Sample:
    """Per call: the same with astream()."""
    gc.collect()
    await awarm_up(client, _WARM_CALLS)
    spans: list[float] = []
    answers: list[bool] = []
    for _ in range(job.repeat):
        items: list[Any] = []
        span = 0.0
        start = time.process_time()
        async for item in client.astream(job.question):
            if not span and client.piece(item):
                span = time.process_time() - start
            items.append(item)
        spans.append(span)
        answers.append(client.complete(items, job.deltas))
    return _first_sample(spans, answers)


def invoke(client: BenchmarkClient, job: Job) -> Sample:
    """Per call: invoke()."""
    warm_up(client)
    with Clock(gc_on=job.gc) as clock:
        texts = [client.invoke(job.question) for _ in range(job.repeat)]
    return clock.sample(job.repeat, [x == wire.text(job.deltas) for x in texts])


async def ainvoke(client: BenchmarkClient, job: Job) -> Sample:
    """Per call: ainvoke()."""
    await awarm_up(client)
    with Clock(gc_on=job.gc) as clock:
        texts = [await client.ainvoke(job.question) for _ in range(job.repeat)]
    return clock.sample(job.repeat, [x == wire.text(job.deltas) for x in texts])


async def _wave(client: BenchmarkClient, job: Job) -> list[list[Any] | BaseException]:
    calls = (client.adrain(job.question) for _ in range(job.width))
    return await asyncio.gather(*calls, return_exceptions=True)


def _judge(
    client: BenchmarkClient, job: Job, outcomes: list[list[Any] | BaseException]
) -> tuple[list[bool], str]:
    broken = [x for x in outcomes if isinstance(x, BaseException)]
    answers = [
        not isinstance(x, BaseException) and client.complete(x, job.deltas) for x in outcomes
    ]
    return answers, f"{type(broken[0]).__name__}: {broken[0]}"[:120] if broken else ""


async def together(client: BenchmarkClient, job: Job) -> Sample:
    """Per request: `width` streams in flight at once; the first, cold wave is not timed."""
    cold, note = _judge(client, job, await _wave(client, job))
    if note:
        failed = float(cold.count(False))
        return Sample({"failed": failed}, cold.count(True), len(cold), note)
    with Clock(gc_on=job.gc) as clock:
        outcomes = [x for _ in range(job.repeat) for x in await _wave(client, job)]
    warm, note = _judge(client, job, outcomes)
    return clock.sample(job.width * job.repeat, cold + warm, note)


async def rate(client: BenchmarkClient, job: Job) -> Sample:
    """Per delta: `width` slow streams on one loop, connections included."""
    await awarm_up(client)
    with Clock(gc_on=job.gc) as clock:
        outcomes = await _wave(client, job)
    answers, note = _judge(client, job, outcomes)
    return clock.sample(job.width * job.deltas, answers, note)


async def batch(client: BenchmarkClient, job: Job) -> Sample:
    """Per answer: the second abatch() of `width` questions."""
    questions = [job.question] * job.width
    texts = await client.abatch(questions)
    with Clock(gc_on=job.gc) as clock:
        texts += await client.abatch(questions)
    return clock.sample(job.width, [x == wire.text(job.deltas) for x in texts])


_WARM_UPS = 3  # a call takes little more than a millisecond: whatever is slow at first would show


@dataclass
class _Recalls:
    """What several calls of a recaller took, in wall seconds."""

    whole: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    answers: list[bool] = field(default_factory=list)

    def add(self, start: float, end: float, names: list[str]) -> None:
        self.whole.append(end - start)
        self.after.append(end - wire.sent_at(names[0]) if names else float("nan"))
        self.answers.append(len(names) == wire.CHUNKS and len(set(names)) == 1)

    def sample(self) -> Sample:
        figures = {
            "us": statistics.median(self.whole) * 1e6,
            "after": statistics.median(self.after) * 1e3,
            "failed": float(self.answers.count(False)),
        }
        return Sample(figures, self.answers.count(True), len(self.answers))


def recall(client: Recaller, job: Job) -> Sample:
    """Per call, in wall time: until documents are there; of that, after they were sent."""
    for _ in range(_WARM_UPS):
        client.recall(wire.ask("recall", 1, 0))
    recalls = _Recalls()
    gc.collect()
    for _ in range(job.repeat):
        start = time.monotonic()
        names = client.recall(job.question)
        recalls.add(start, time.monotonic(), names)
    return recalls.sample()


async def arecall(client: Recaller, job: Job) -> Sample:
    """Per call: the same on an event loop."""
    for _ in range(_WARM_UPS):
        await client.arecall(wire.ask("recall", 1, 0))
    recalls = _Recalls()
    gc.collect()
    for _ in range(job.repeat):
        start = time.monotonic()
        names = await client.arecall(job.question)
        recalls.add(start, time.monotonic(), names)
    return recalls.sample()


SYNC: dict[str, Callable[[Any, Job], Sample]] = {
    "stream": stream,
    "first": first,
    "invoke": invoke,
    "recall": recall,
}
ASYNC: dict[str, Callable[[Any, Job], Any]] = {
    "astream": astream,
    "afirst": afirst,
    "ainvoke": ainvoke,
    "together": together,
    "rate": rate,
    "batch": batch,
    "arecall": arecall,
}
