"""Make an environment of its own for the official Python SDK.

The SDK pins a version of websockets that today's langsmith refuses, so both cannot live in one
environment. Where it cannot be installed this says why and ends well: the tests then skip.
"""

import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENT = "cozepy==0.20.0"
_STAMP = "conformance-requirement.txt"
_REASON = "conformance-not-installed.txt"
_LONGEST_INSTALL = 300  # seconds


def python_of(directory: Path) -> Path:
    """The interpreter of a virtual environment."""
    windows = sys.platform == "win32"
    return directory / ("Scripts/python.exe" if windows else "bin/python")


def why_not_ready(directory: Path) -> str | None:
    """None when the SDK is installed there, else a sentence that says why not."""
    stamp, reason = directory / _STAMP, directory / _REASON
    if stamp.exists() and stamp.read_text(encoding="utf-8") == REQUIREMENT:
        return None
    if reason.exists():
        return reason.read_text(encoding="utf-8")
    return f"{REQUIREMENT} is not installed: run `python tests/conformance/install.py {directory}`"


def install(directory: Path) -> str | None:
    """Install the SDK; returns None, or a sentence that says why that was not possible."""
    present = {path.name for path in directory.iterdir()} if directory.exists() else set()
    if present - {_REASON} and "pyvenv.cfg" not in present:
        return f"{directory} is not a virtual environment: it was left alone"
    try:
        venv.create(directory, with_pip=True, clear=True)
        command = [str(python_of(directory)), "-m", "pip", "install", "-q"]
        command += ["--disable-pip-version-check", "--retries=1", "--timeout=20", REQUIREMENT]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LONGEST_INSTALL, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"{REQUIREMENT} could not be installed: {error}"
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["pip gave no reason"]
        return f"{REQUIREMENT} could not be installed: {lines[-1]}"
    return None


def main() -> int:
    """Install where that is needed; always 0, so that the other tests run."""
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else ".venv-conformance")
    if why_not_ready(directory) is None:
        return 0
    problem = install(directory)
    directory.mkdir(parents=True, exist_ok=True)  # the reason needs a place, too
    if problem is None:
        (directory / _REASON).unlink(missing_ok=True)
        (directory / _STAMP).write_text(REQUIREMENT, encoding="utf-8")
    else:
        (directory / _REASON).write_text(problem, encoding="utf-8")
        sys.stderr.write(f"\n*** conformance tests will be SKIPPED: {problem}\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
