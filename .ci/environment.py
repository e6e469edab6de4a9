"""Make a virtual environment with this package and one dependency group, unless it is there.

    python .ci/environment.py .venv-engine engine

The environment is made again when `pyproject.toml` has changed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from versions import ROOT, environment, run

if TYPE_CHECKING:
    from pathlib import Path


def prepare(folder: Path, group: str) -> None:
    """Make the environment if needed."""
    stamp, project = folder / ".ready", ROOT / "pyproject.toml"
    if stamp.exists() and stamp.stat().st_mtime >= project.stat().st_mtime:
        return
    python = environment(folder)
    options = ["-e", ".[local,oauth,aiohttp]", "--group", "test", "--group", group]
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *options)
    stamp.touch()


if __name__ == "__main__":
    prepare(ROOT / sys.argv[1], sys.argv[2])
