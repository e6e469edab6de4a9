"""Feed changed recordings to the parsers, guided by coverage, for some seconds.

    python -m tests.fuzz 60

Each target of `targets.py` runs in a process of its own. An input that breaks a promise is written
to `tests/fuzz/failures/`; run it again with `python -m tests.fuzz --replay FILE`. `atheris` (a
front end to libFuzzer) is needed: it is in the dependency group `fuzz`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
FAILURES = FOLDER / "failures"
DICTIONARY = FOLDER / "tokens.dict"
TARGET_NAMES = ("parsers", "agreement")
MAX_FAILURES = 20  # of one target; after these it stops


def find_targets() -> dict[str, Callable[[bytes], None]]:
    """Import the targets; the coverage of what they import is measured if atheris is ready."""
    targets: dict[str, Callable[[bytes], None]] = importlib.import_module(
        "tests.fuzz.targets"
    ).TARGETS
    return targets


def run_target(name: str, seconds: float) -> None:
    """Fuzz one target in this process, which prints its figures as JSON and ends."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["langchain_coze"]):
        check = find_targets()[name]
    ends = time.monotonic() + seconds
    inputs, failures = 0, 0

    def run_one(data: bytes) -> None:
        nonlocal inputs, failures
        if time.monotonic() > ends or failures >= MAX_FAILURES:
            print(json.dumps({"inputs": inputs, "failures": failures}), flush=True)
            os._exit(0)  # libFuzzer has no other end
        inputs += 1
        try:
            check(data)
        except Exception:  # noqa: BLE001 - any error is a failure of the code under test
            failures += 1
            keep_failure(name, data)

    with tempfile.TemporaryDirectory() as found:
        options = [
            f"-dict={DICTIONARY}",
            "-max_len=20000",
            "-len_control=0",
            "-verbosity=0",
            "-timeout=20",
        ]
        atheris.Setup([sys.argv[0], *options, found, str(FOLDER / "corpus")], run_one)
        atheris.Fuzz()


def keep_failure(name: str, data: bytes) -> None:
    """Write the input that broke a promise, and print why."""
    FAILURES.mkdir(exist_ok=True)
    path = FAILURES / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    sys.stderr.write(f"\n{path}\n{traceback.format_exc()[-3000:]}\n")


def replay(path: Path) -> None:
    """Run the input of an earlier failure through its target."""
    find_targets()[path.name.partition("-")[0]](path.read_bytes())
    print(f"{path} breaks no promise")


def fuzz(seconds: float) -> int:
    """Fuzz all targets side by side; return 1 if a promise broke."""
    command = [sys.executable, "-m", "tests.fuzz", str(seconds), "--target"]
    running = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True)
        for name in TARGET_NAMES
    ]
    outputs = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        return 1  # its own message is above
    figures = [json.loads(output.splitlines()[-1]) for output in outputs]
    failures = sum(each["failures"] for each in figures)
    print(f"fuzz: {failures} failures in {sum(each['inputs'] for each in figures)} inputs")
    return 1 if failures else 0


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=60)
    parser.add_argument("--replay", type=Path, help="run the input of a failure once")
    parser.add_argument("--target", choices=TARGET_NAMES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.replay:
        replay(options.replay)
    elif options.target:
        run_target(options.target, options.seconds)
    else:
        return fuzz(options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
