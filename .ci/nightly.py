"""What has to hold each night, and takes too long for each change.

Runs every step even if one fails, prints the time of each, and exits with 1 if any failed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
STEPS = {
    "newest versions": [sys.executable, ".ci/versions.py", "newest"],
    "lowest versions": [sys.executable, ".ci/versions.py", "floor"],
    "soak": ["make", "soak", "MINUTES=2"],
    "fuzz": ["make", "fuzz", "SECONDS=60"],
    "engine": ["make", "engine"],
    "browser": ["make", "test-browser"],
    "benchmarks": ["make", "bench-smoke"],
}


def find_python(version: str) -> str | None:
    """Return the interpreter of a version on this machine, if there is one."""
    folders = Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
    for candidate in (f"python{version}", *map(str, folders)):
        path = shutil.which(candidate)
        if path and read_version(path) == version:  # a shim of pyenv may not run
            return path
    return None


def read_version(python: str) -> str:
    """Return the version of an interpreter; empty if it does not run."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    command = [python, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - our own commands


def list_steps() -> dict[str, list[str] | None]:
    """Return all steps; None for a Python that is not installed."""
    steps: dict[str, list[str] | None] = {}
    for version in PYTHONS:
        python = sys.executable if version == THIS else find_python(version)
        steps[f"Python {version}"] = [python, ".ci/versions.py", "tests"] if python else None
    return steps | STEPS


def main() -> int:
    """Run all steps and print how each ended."""
    lines, failed = [], False
    for name, command in list_steps().items():
        if command is None:
            lines.append(f"{name:<16} not installed")
            continue
        began = time.monotonic()
        code = subprocess.run(command, check=False, cwd=ROOT).returncode  # noqa: S603 - as above
        failed = failed or bool(code)
        state = f"FAILED ({code})" if code else "ok"
        lines.append(f"{name:<16} {state:<12} {time.monotonic() - began:5.0f} s")
    print("\nnightly:", *lines, sep="\n  ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
