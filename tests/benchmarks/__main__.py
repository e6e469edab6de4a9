"""Run the benchmark: `python -m tests.benchmarks --help`."""

import argparse
import sys
import time
from contextlib import closing
from pathlib import Path

from tests.benchmarks.fleet import ROOT, Fleet
from tests.benchmarks.scenarios import Scenario, all_scenarios
from tests.benchmarks.table import Results, document, machine_facts

SDK_PYTHON = ROOT / ".venv-conformance" / "bin" / "python"


def _arguments(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run that proves it works")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of every scenario")
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="NAME", help=f"of: {', '.join(names)}"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument(
        "--sdk-python",
        default=str(SDK_PYTHON),
        metavar="FILE",
        help="the interpreter that has cozepy",
    )
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def run(scenario: Scenario, fleet: Fleet, rounds: int) -> Results:
    """Run all cells in turn, beginning with another one each round."""
    results = Results(scenario)
    _say(f"{scenario.name} ")
    start = time.monotonic()
    for index in range(rounds):
        shift = index % len(scenario.cells)
        for cell in scenario.cells[shift:] + scenario.cells[:shift]:
            if index < cell.rounds:
                results.add(cell, fleet.run(cell.client, cell.job, fresh=cell.fresh))
        _say(".")
    _say(f" {time.monotonic() - start:.0f} s\n")
    return results


def main() -> None:
    """Measure and print."""
    offered = all_scenarios(quick="--quick" in sys.argv)
    arguments = _arguments([scenario.name for scenario in offered])
    start = time.monotonic()
    everything = []
    with closing(Fleet(arguments.sdk_python)) as fleet:
        for scenario in offered:
            if arguments.only and scenario.name not in arguments.only:
                continue
            if scenario.fresh:
                fleet.dismiss()
            everything.append(run(scenario, fleet, arguments.rounds or scenario.rounds))
        fleet.dismiss()
        facts = machine_facts(fleet.versions, time.monotonic() - start)
        report = document(everything, facts, fleet.missing, quick=arguments.quick)
    sys.stdout.write(report)
    if arguments.markdown:
        arguments.markdown.write_text(report, "utf-8")


if __name__ == "__main__":
    main()
