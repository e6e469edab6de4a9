"""Make environments of their own for the official SDKs, in Python and in JavaScript.

The Python SDK pins a version of websockets that today's langsmith refuses, so both cannot live in
one environment. Where an SDK cannot be installed this says why and ends well: its tests then skip.

Called as ``python install.py SDK DIRECTORY``.
"""

import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_STAMP = "conformance-requirement.txt"
_REASON = "conformance-not-installed.txt"
_LONGEST_INSTALL = 300  # seconds


def python_of(directory: Path) -> Path:
    """The interpreter of a virtual environment."""
    windows = sys.platform == "win32"
    return directory / ("Scripts/python.exe" if windows else "bin/python")


def _by_pip(directory: Path, requirements: list[str]) -> list[str]:
    venv.create(directory, with_pip=True, clear=True)
    options = ["-q", "--disable-pip-version-check", "--retries=1", "--timeout=20"]
    return [str(python_of(directory)), "-m", "pip", "install", *options, *requirements]


def _by_npm(directory: Path, requirements: list[str]) -> list[str]:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise OSError("node and npm are not there (Node.js 18 or newer)")
    shutil.rmtree(directory / "node_modules", ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    options = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    options += ["--loglevel=error", "--fetch-retries=1", "--fetch-timeout=20000"]
    return [npm, "install", "--prefix", str(directory), *options, *requirements]


@dataclass(frozen=True)
class Sdk:
    """An official SDK.

    Attributes:
        requirements: What is installed: the SDK itself, then what it wants beside itself.
        marker: A file that only such an environment has.
        command: Prepares a directory and gives the command that installs into it.
    """

    requirements: tuple[str, ...]
    marker: str
    command: Callable[[Path, list[str]], list[str]]

    @property
    def title(self) -> str:
        """Its name and version."""
        name, _, version = self.requirements[0].replace("==", "@").rpartition("@")
        return f"{name} {version}"

    def why_not_ready(self, directory: Path) -> str | None:
        """None when the SDK is installed there, else a sentence that says why not."""
        stamp, reason = directory / _STAMP, directory / _REASON
        if stamp.exists() and stamp.read_text(encoding="utf-8") == " ".join(self.requirements):
            return None
        if reason.exists():
            return reason.read_text(encoding="utf-8")
        name = next(name for name, sdk in ALL.items() if sdk is self)
        how = f"python tests/conformance/install.py {name} {directory.name}"
        return f"{self.title} is not installed: run `{how}`"

    def install(self, directory: Path) -> str | None:
        """Install the SDK; returns None, or a sentence that says why that was not possible."""
        present = {path.name for path in directory.iterdir()} if directory.exists() else set()
        if present - {_REASON} and self.marker not in present:
            return f"{directory} is no environment for {self.title}: it was left alone"
        try:
            command = self.command(directory, list(self.requirements))
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_LONGEST_INSTALL, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            return f"{self.title} could not be installed: {error}"
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason was given"]
            return f"{self.title} could not be installed: {lines[-1]}"
        return None


SDKS = {
    "cozepy": Sdk(("cozepy==0.20.0",), "pyvenv.cfg", _by_pip),
    "coze-js": Sdk(("@coze/api@1.3.9", "axios@1.21.1"), "package.json", _by_npm),
}
_SITE = ("coze-coding-utils==0.2.8", "langgraph", "fastapi", "uvicorn")
_SITE_IMPORTS = ("chardet", "cozeloop", "python-pptx", "requests", "sqlalchemy")  # by the first one
SERVERS = {"coze-site": Sdk(_SITE + _SITE_IMPORTS, "pyvenv.cfg", _by_pip)}
"""What serves a project of coze.site, with the frames of the real server."""

ALL = SDKS | SERVERS


def main() -> int:
    """Install where that is needed; always 0, so that the other tests run."""
    sdk, directory = ALL[sys.argv[1]], Path(sys.argv[2])
    if sdk.why_not_ready(directory) is None:
        return 0
    problem = sdk.install(directory)
    directory.mkdir(parents=True, exist_ok=True)  # the reason needs a place, too
    if problem is None:
        (directory / _REASON).unlink(missing_ok=True)
        (directory / _STAMP).write_text(" ".join(sdk.requirements), encoding="utf-8")
    else:
        (directory / _REASON).write_text(problem, encoding="utf-8")
        sys.stderr.write(f"\n*** conformance tests will be SKIPPED: {problem}\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
