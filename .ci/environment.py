"""Make a virtual environment with this package and one dependency group, unless it is there.

    python .ci/environment.py .venv-engine engine

The environment is made again when `pyproject.toml` has changed.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def prepare(folder: Path, group: str) -> Path:
    """Return the Python of the environment, which is made if needed."""
    python, stamp = folder / "bin" / "python", folder / ".ready"
    project = ROOT / "pyproject.toml"
    if stamp.exists() and stamp.stat().st_mtime >= project.stat().st_mtime:
        return python
    venv.create(folder, with_pip=True, clear=True)
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "-U", "pip>=25.1"], check=True)  # noqa: S603 - our own commands
    options = ["-e", ".[local,oauth,aiohttp]", "--group", "test", "--group", group]
    subprocess.run([*pip, *options], check=True, cwd=ROOT)  # noqa: S603 - as above
    stamp.touch()
    return python


if __name__ == "__main__":
    prepare(ROOT / sys.argv[1], sys.argv[2])
