"""Medians, ratios and the Markdown that shows them."""

import os
import platform
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.jobs import Sample
from tests.benchmarks.scenarios import Cell, Goal, Scenario

EXTRA_UNITS = {"wall": "wall s", "after": "ms after they were sent"}


@dataclass
class Results:
    """The samples of one scenario by cell key, in the order of the rounds."""

    scenario: Scenario
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def add(self, cell: Cell, sample: Sample) -> None:
        self.samples.setdefault(cell.key, []).append(sample)

    def values(self, key: str, figure: str = "us") -> list[float]:
        found = [x.figures[figure] for x in self.samples.get(key, []) if figure in x.figures]
        return [x * self.scenario.scale for x in found] if figure == "us" else found

    def complete(self, key: str) -> bool:
        samples = self.samples.get(key, [])
        return bool(samples) and all(x.good == x.total for x in samples)

    def note(self, key: str) -> str:
        return next((x.note for x in self.samples.get(key, []) if x.note), "")

    def ratio(self, top: str, bottom: str) -> float | None:
        """Return the median of the ratios within each round: drift of the machine cancels."""
        pairs = list(zip(self.values(top), self.values(bottom), strict=False))
        return statistics.median(a / b for a, b in pairs) if pairs else None


@dataclass(frozen=True)
class Verdict:
    """One line of the table of goals."""

    goal: Goal
    value: str
    beside: str
    measured: str
    outcome: str


def number(value: float) -> str:
    """Show three significant figures, of whole numbers all."""
    if value.is_integer():
        return f"{value:,.0f}"
    digits = max(0, 2 - int(f"{value:e}".partition("e")[2]))
    return f"{value:,.{digits}f}"


def judge(results: Results, goal: Goal) -> Verdict:
    """Hold one goal against what was measured."""
    values = results.values(goal.top, goal.figure)
    base = results.values(goal.bottom) if goal.bottom else []
    unit = results.scenario.unit.partition(" per ")[0].removeprefix("CPU ")
    shown = f"{number(statistics.median(values))} {goal.unit}".strip() if values else "–"
    if goal.bottom and values:
        shown = f"{number(statistics.median(values))} {unit}"
    beside = f"{goal.bottom} {number(statistics.median(base))} {unit}" if base else goal.bottom
    counted = (goal.top, goal.bottom) if goal.bottom else (goal.top,)
    missing = [key for key in counted if not results.values(key, goal.figure)]
    if missing:
        return Verdict(goal, shown, beside, "–", f"**MISSING** ({missing[0]})")
    wrong = [key for key in counted if not results.complete(key)]
    if wrong and goal.figure != "failed":
        return Verdict(goal, shown, beside, "–", f"**VOID** (incomplete: {wrong[0]})")
    if goal.bottom:
        measured = results.ratio(goal.top, goal.bottom) or 0.0
        told = f"{measured:.3f}×"  # a goal may be missed by less than a hundredth
    else:
        times = goal.figure in {"us", *EXTRA_UNITS}  # else a count, of which none may be too high
        measured = statistics.median(values) if times else max(values)
        told = number(measured)
    return Verdict(goal, shown, beside, told, "met" if measured <= goal.limit else "**NOT MET**")


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "/") for text in cells) + " |"


def goals_table(everything: list[Results]) -> list[str]:
    lines = [
        _row(("measured", "this package", "beside", "ratio", "goal", "")),
        "|---|---|---|---|---|---|",
    ]
    for results in everything:
        for goal in results.scenario.goals:
            verdict = judge(results, goal)
            limit = f"≤ {goal.limit:g}" + ("×" if goal.bottom else f" {goal.unit}".rstrip())
            lines.append(
                _row(
                    (
                        goal.text,
                        verdict.value,
                        verdict.beside,
                        verdict.measured if goal.bottom else "",
                        limit,
                        verdict.outcome,
                    )
                )
            )
    return lines


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.01 else number(ratio)  # what is next to nothing counts too


def _detail_row(results: Results, cell: Cell) -> list[str]:
    scenario = results.scenario
    values = results.values(cell.key)
    row = [cell.key]
    if values:
        row += [number(statistics.median(values)), f"{number(min(values))}–{number(max(values))}"]
    else:
        row += ["–", "–"]
    for base in scenario.bases:
        ratio = results.ratio(cell.key, base)
        row.append("–" if ratio is None else _times(ratio))
    for figure in scenario.extra:
        extra = results.values(cell.key, figure)
        row.append(number(statistics.median(extra)) if extra else "–")
    samples = results.samples.get(cell.key, [])
    row.append(f"{sum(x.good for x in samples)} of {sum(x.total for x in samples)}")
    note = results.note(cell.key)
    ran = any("failed" in sample.figures for sample in samples)
    row.append(note if ran else f"**MISSING** {note}".strip())
    return row


def detail_table(results: Results) -> list[str]:
    """Return one scenario: a line per cell."""
    scenario = results.scenario
    head = ["", scenario.unit, "least–most", *(f"× {base}" for base in scenario.bases)]
    head += [EXTRA_UNITS.get(figure, figure) for figure in scenario.extra]
    head += ["complete", ""]
    lines = [f"### {scenario.title}", "", _row(head), "|" + "---|" * len(head)]
    lines += [_row(_detail_row(results, cell)) for cell in scenario.cells]
    return [*lines, ""]


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def machine_facts(versions: dict[str, str], seconds: float) -> list[str]:
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    found = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return [
        f"- {os.cpu_count()} × {_processor()}, {platform.system()} {platform.machine()}",
        f"- Python {platform.python_version()}; {found}",
        f"- the run took {seconds:.0f} s; load at its end {load}",
    ]


def document(
    everything: list[Results], facts: list[str], missing: dict[str, str], *, quick: bool = False
) -> str:
    """Return the whole report as Markdown; a quick run's sizes are not those of the goals."""
    lines = [
        "# Benchmark",
        "",
        "CPU time of the client process, or wall time where that is said; medians over",
        "interleaved rounds, every client in a process of its own, the server in another. A ratio",
        "is the median of the rounds' own ratios: only ratios within one run mean something.",
        "",
        *facts,
        "",
    ]
    if missing:
        lines += ["> **NOT MEASURED, because missing here:**", ">"]
        lines += [f"> - **{name}**: {reason}" for name, reason in missing.items()]
        lines += [""]
    if quick:
        lines += ["A quick run: too small to hold against any goal.", ""]
    else:
        lines += ["## Goals", "", *goals_table(everything), ""]
    lines += ["## Figures", ""]
    for results in everything:
        lines += detail_table(results)
    return "\n".join(lines).rstrip() + "\n"
